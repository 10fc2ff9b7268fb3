"""What the daemon finds wrong is told in the names that the operator knows."""

from typing import Any

import faults
import pytest
from fake_machine import CANDIDATE, CREDENTIALS, with_directory
from hypothesis import given
from hypothesis import strategies as st
from options import CharmOptions, Credentials, OptionsError, document
from proxies import ModelProxies

from supervisor.config import ConfigError, parse

KNOWN = {name.replace("_", "-") for name in CharmOptions.__dataclass_fields__}


def refusal(proxies: ModelProxies = ModelProxies(), **options: Any) -> str:  # noqa: B008 - frozen
    made = document(
        CharmOptions(**{"path": "acme", **options}),
        "runners/0",
        Credentials(token="x"),
        proxies,
        [],
    )
    with pytest.raises(ConfigError) as raised:
        parse(with_directory(made), CANDIDATE)
    return faults.in_options(str(raised.value), "runners")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"path": "a/b/c"},
            "path: must be an organisation, OWNER/REPOSITORY or enterprises/ENTERPRISE",
        ),
        (
            {"virtual_machines": -1},
            (
                "virtual-machines: must be greater than or equal to 0; "
                "`juju config runners virtual-machines=3`"
            ),
        ),
        (
            {"labels": "ok, no good"},
            (
                "labels: must be letters, digits, dots, dashes and underscores; "
                "`juju config runners labels='large, gpu'`"
            ),
        ),
        (
            {"instance_type": "pod"},
            (
                "instance-type: must be 'virtual-machine' or 'container'; "
                "`juju config runners instance-type=virtual-machine`"
            ),
        ),
        (
            {"policy_mode": "package", "policy_package": "x @ ftp://me:word@host/x"},
            (
                "policy-package: an address must begin with one of file, git+file, git+https, "
                "git+ssh, https; `juju config runners "
                "policy-package=repo-policy-compliance==1.11.0`"
            ),
        ),
        (
            {"policy_mode": "package", "policy_package": "x", "policy_package_links": "wheels"},
            (
                "policy-package-links: must be the absolute path of a directory; `juju config "
                "runners policy-package-links=/var/lib/github-runner-supervisor/wheels`"
            ),
        ),
        (
            {"policy_mode": "strict"},
            (
                "policy-mode: must be 'builtin', 'package', 'external' or 'off'; "
                "`juju config runners policy-mode=builtin`"
            ),
        ),
        (
            {"dockerhub_mirror": "http://mirror.example.com"},
            (
                "dockerhub-mirror: must be an https address without credentials and parameters; "
                "`juju config runners dockerhub-mirror=https://mirror.example.com:5000`"
            ),
        ),
        (
            {"otel_collector_endpoint": "collector.example.com:4317"},
            (
                "otel-collector-endpoint: must be the http or https address of a collector that "
                "takes OTLP over HTTP, not gRPC, with USER:PASSWORD@ before the host if it wants "
                "them; `juju config runners "
                "otel-collector-endpoint=http://collector.example.com:4318`"
            ),
        ),
        (
            {"image_build_interval": "1m"},
            (
                "image-build-interval: must be at least 10m: each time an instance is made to ask "
                "apt; `juju config runners image-build-interval=6h`"
            ),
        ),
    ],
)
def test_a_fault_of_an_option_names_it_and_the_command(
    options: dict[str, Any], sentence: str
) -> None:
    found = refusal(**options)
    assert found.startswith(sentence.partition(":")[0] + ":")
    assert CANDIDATE not in found
    if "path" not in options:
        assert found == sentence


def test_a_fault_of_a_proxy_names_the_model_s_setting() -> None:
    found = refusal(ModelProxies(http="socks5://proxy.example.com"))
    assert found.startswith("the model's juju-http-proxy: ")


def test_a_fault_of_an_address_among_many_names_the_option() -> None:
    assert refusal(denylist="10.0.0.0/8, nowhere").startswith("denylist: ")


def test_a_fault_of_a_credential_names_the_option_and_no_file() -> None:
    said = f"token-file: {CREDENTIALS}.new/token: is empty; must be one line"
    assert faults.in_options(said, "runners") == (
        "token-secret-id (or token): is empty; must be one line"
    )
    said = "app.private-key-file: $CREDENTIALS_DIRECTORY/app.pem: is no private key"
    assert faults.in_options(said, "runners") == (
        "github-app-private-key-secret-id: is no private key"
    )


def test_a_fault_of_an_address_is_told_by_the_place_where_the_operator_wrote_it() -> None:
    assert refusal(denylist="10.0.0.1/8").startswith("denylist: entry 1, ")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"path": "acme/repo", "group": "gpu"},
            (
                "group: the repository acme/repo has no runner groups; "
                "`juju config runners --reset group`"
            ),
        ),
        (
            {"policy_document": "a: {}"},
            (
                "policy-document: has no 'a'; there are pull_request, push, schedule, "
                "workflow_dispatch"
            ),
        ),
    ],
)
def test_what_the_daemon_calls_otherwise_is_told_in_the_charm_s_words(
    options: dict[str, Any], sentence: str
) -> None:
    assert refusal(**options) == sentence


def test_a_base_image_of_an_unknown_server_is_told_without_what_the_option_does_not_take() -> None:
    found = refusal(base_image="ubunto:noble")
    assert found.startswith("base-image: must be jammy, noble, 22.04, 24.04, REMOTE:ALIAS with ")


def test_a_fault_of_the_script_names_no_file() -> None:
    path = "/etc/github-runner-supervisor/image.sh.new"
    assert faults.in_options(
        f"{path.replace('image.sh', 'config.yaml')}: image-script: {path} must begin with #!", "app"
    ) == ("image-script: must begin with #!")


def test_of_many_faults_the_first_is_told_and_how_many_there_are() -> None:
    found = refusal(vm_cpu=0, vm_disk="0GiB")
    assert found.startswith("vm-cpu: ")
    assert found.endswith(" (and 1 more)")


def test_a_refusal_without_words_is_told_so() -> None:
    assert faults.in_options(" \n", "runners") == (
        "the daemon refuses the configuration, and doesn't say why"
    )


@given(st.text())
def test_whatever_is_said_is_told_in_one_line(text: str) -> None:
    assert faults.in_options(text, "runners")


@given(
    option=st.sampled_from(
        ["github_url", "max_unavailable", "labels", "group", "vm_memory", "vm_disk",
         "runner_storage", "instance_type", "base_image", "image_build_interval", "lxd_image",
         "image_extra_packages", "denylist", "allowlist", "aproxy_exclude_addresses",
         "aproxy_redirect_ports", "dockerhub_mirror", "otel_collector_endpoint", "policy_mode"]
    ),
    value=st.text(alphabet="abc/:.,%0123456789 \u00e9\x00", max_size=20),
)  # fmt: skip
def test_each_fault_of_an_option_is_told_by_a_name_that_can_be_set(option: str, value: str) -> None:
    try:
        made = document(
            CharmOptions(path="acme", **{option: value}),
            "runners/0",
            Credentials(token="x"),
            ModelProxies(),
            [],
        )
        parse(with_directory(made), CANDIDATE)
    except OptionsError as error:
        found = str(error)
    except ConfigError as error:
        found = faults.in_options(str(error), "runners")
    else:
        return
    assert found.partition(":")[0] in KNOWN
