"""The options become a configuration that the daemon takes, or one sentence."""

from pathlib import Path
from typing import Any

import options
import pytest
import yaml
from fake_machine import CANDIDATE, with_directory
from hypothesis import given
from hypothesis import strategies as st
from machine.places import Places
from options import CharmOptions, Credentials, OptionsError, document
from proxies import ModelProxies

from supervisor.config import Config, parse
from supervisor.policy.package import PackageSource

CHARMCRAFT = yaml.safe_load((Path(__file__).parents[3] / "charm/charmcraft.yaml").read_text())
OPTIONS: dict[str, dict[str, Any]] = CHARMCRAFT["config"]["options"]
TOKEN = Credentials(token="ghp_secret")
NO_PROXIES = ModelProxies()
NO_WORD = "policy-document: has a key that is no word; put it in quotes"
PROXIES = ModelProxies("http://proxy.example.com:3128", "", "localhost,.example.com")


def made(
    unit: str = "runners/0",
    credentials: Credentials = TOKEN,
    proxies: ModelProxies = NO_PROXIES,
    **given: Any,
) -> dict[str, Any]:
    return document(CharmOptions(**{"path": "acme", **given}), unit, credentials, proxies, [])


def taken(*args: Any, **given: Any) -> Config:
    return parse(with_directory(made(*args, **given)), CANDIDATE)


def refusal(*args: Any, **given: Any) -> str:
    with pytest.raises(OptionsError) as raised:
        made(*args, **given)
    return str(raised.value)


def test_each_option_of_the_charm_is_an_option_here_with_the_same_default() -> None:
    fields = CharmOptions.__dataclass_fields__
    assert set(fields) == {name.replace("-", "_") for name in OPTIONS}
    for name, option in OPTIONS.items():
        if option["type"] == "secret":
            assert "default" not in option
        else:
            assert fields[name.replace("-", "_")].default == option["default"]


def test_each_default_is_of_its_option_s_type() -> None:
    types = {"string": str, "int": int, "boolean": bool, "float": float}
    for option in OPTIONS.values():
        assert option["type"] in {*types, "secret"}
        assert option["type"] == "secret" or type(option["default"]) is types[option["type"]]
        assert option["description"]


def test_the_defaults_and_a_path_suffice() -> None:
    config = taken()
    assert config.name == "runners-0"
    assert config.path == "acme"
    assert config.labels == ("runners",)
    assert config.runner_storage == "/storage/juju"
    assert config.lxd.project == config.lxd.pool == config.lxd.network == "github-runners"
    assert config.lxd.profile == "github-runners"
    assert config.policy.mode == "builtin"
    assert config.metric_log.path == Places().metric_log


def test_what_users_of_the_existing_charm_write_is_taken() -> None:
    config = taken(
        path="canonical/repo",
        group="default",
        labels=" large , gpu_a100,large",
        virtual_machines=3,
        vm_cpu=4,
        vm_memory="16GiB",
        vm_disk="50GiB",
        runner_storage="memory",
        reconcile_interval=5,
        denylist=" 10.0.0.0/8 , 192.168.0.0/16,",
        dockerhub_mirror="https://mirror.example.com:5000",
        base_image="jammy",
        otel_collector_endpoint="http://10.0.0.5:4318",
    )
    assert config.otel_collector_endpoint is not None
    assert config.labels == ("runners", "large", "gpu_a100")
    assert [str(network) for network in config.denylist] == [
        "10.0.0.0/8", "192.168.0.0/16", "169.254.0.0/16"
    ]  # fmt: skip
    assert config.reconcile_interval.total_seconds() == 300


def test_runners_never_reach_a_cloud_s_metadata_whatever_is_denied() -> None:
    assert made(denylist="")["denylist"] == "169.254.0.0/16"
    assert made(denylist="10.0.0.0/8")["denylist"] == "10.0.0.0/8, 169.254.0.0/16"


def test_labels_are_given_once_whatever_their_case() -> None:
    assert made(labels="Runners, GPU, gpu")["labels"] == ["runners", "GPU"]


def test_empty_options_are_left_to_the_daemon() -> None:
    empty = {name: "" for name, option in OPTIONS.items() if option["type"] == "string"}
    given_ = {name.replace("-", "_"): value for name, value in empty.items()}
    config = taken(**{**given_, "path": "acme"})
    assert config.vm_memory == "7GiB"
    assert config.base_image == "noble"
    assert config.policy.mode == "builtin"
    assert config.runner_storage == "/storage/juju"


def test_that_aproxy_excludes_nothing_is_no_default() -> None:
    config = taken(proxies=PROXIES, use_aproxy=True, aproxy_exclude_addresses="")
    assert config.aproxy_exclude_addresses == ()


def test_the_proxies_are_the_model_s() -> None:
    config = taken(proxies=PROXIES)
    assert config.http_proxy is not None
    assert config.http_proxy.get_secret_value() == "http://proxy.example.com:3128"
    assert config.no_proxy == ("localhost", ".example.com")


def test_exceptions_without_a_proxy_are_nothing() -> None:
    assert "no-proxy" not in made(proxies=ModelProxies(no_proxy="127.0.0.1,localhost,::1"))


def test_what_juju_excepts_by_default_is_taken() -> None:
    proxies = ModelProxies("http://proxy:3128", "http://proxy:3128", "127.0.0.1,localhost,::1")
    assert taken(proxies=proxies).no_proxy == ("127.0.0.1", "localhost", "::1")


def test_a_prepared_image_is_taken_as_it_is() -> None:
    config = taken(lxd_image="prepared", base_image="noble", image_build_interval="1h")
    assert config.lxd.image == "prepared"


@pytest.mark.parametrize(
    ("given_", "names", "reset"),
    [
        ({"base_image": "jammy"}, "base-image", "base-image"),
        ({"image_script": "#!/bin/sh"}, "image-script", "image-script"),
        (
            {"base_image": "jammy", "image_extra_packages": "cmake"},
            "base-image and image-extra-packages",
            "base-image,image-extra-packages",
        ),
    ],
)
def test_what_only_a_build_could_use_is_refused_for_a_prepared_image(
    given_: dict[str, str], names: str, reset: str
) -> None:
    assert refusal(lxd_image="prepared", **given_) == (
        f"{names}: only for images that are built, and lxd-image names one that is prepared; "
        f"`juju config runners --reset {reset}`, or `juju config runners --reset lxd-image`"
    )


@pytest.mark.parametrize(
    "channel",
    ["5.21/stable", "latest/edge", "5.0", "edge", "6/stable/fix-1234", " 5.21/candidate ", ""],
)
def test_channels_of_the_snap_are_taken(channel: str) -> None:
    found = options.lxd_channel_of(CharmOptions(lxd_channel=channel), "runners")
    assert found == (channel.strip() or "5.21/stable")


@pytest.mark.parametrize(
    "channel", ["latest/nightly", "5.21/unstable", "a b", "5.21/", "/stable", "--edge", "1/2/3"]
)
def test_what_can_be_no_channel_is_refused(channel: str) -> None:
    with pytest.raises(OptionsError) as raised:
        options.lxd_channel_of(CharmOptions(lxd_channel=channel), "runners")
    assert str(raised.value) == (
        "lxd-channel: must be a track, a risk (stable, candidate, beta or edge) or both of the "
        "snap lxd, such as 5.21/stable; "
        "`juju config runners lxd-channel=5.21/stable`"
    )


def test_a_script_of_the_image_is_named_by_its_file() -> None:
    assert made(image_script="#!/bin/sh\ntrue\n")["image-script"] == str(Places().image_script)
    assert "image-script" not in made(image_script=" \n")


@pytest.mark.parametrize("given_", ["nobel", "focal", "22.4", "my-image"])
def test_a_base_image_that_is_no_release_is_refused_with_those_that_are(given_: str) -> None:
    assert refusal(base_image=given_) == (
        "base-image: must be jammy, noble, 22.04, 24.04, REMOTE:ALIAS or https://SERVER/PATH:ALIAS "
        "(an image that is in LXD: lxd-image); `juju config runners base-image=noble`"
    )


@pytest.mark.parametrize("given_", ["images:debian/12", "https://images.example.com/lxd:noble"])
def test_a_base_image_of_a_server_is_left_to_the_daemon(given_: str) -> None:
    assert taken(base_image=f" {given_} ").base_image == given_


@pytest.mark.parametrize("given_", ["/", "/etc", "disk", "Memory"])
def test_a_storage_that_the_option_does_not_know_is_refused(given_: str) -> None:
    assert refusal(runner_storage=given_) == (
        "runner-storage: must be juju-storage, memory or pool; "
        "`juju config runners runner-storage=juju-storage`"
    )


@pytest.mark.parametrize(
    "given_",
    [
        "repo-policy-compliance>=1.11",
        "https://pypi.example.com/x-1.0-py3-none-any.whl",
        "x @ git+https://user:word@git.example.com/x.git@main",
        "git+ssh://git@git.example.com/x.git",
        "x @ git+file:///srv/x",
        "file:///srv/wheels/x-1.0-py3-none-any.whl",
    ],
)
def test_a_policy_package_may_come_from_wherever_the_daemon_takes_it(given_: str) -> None:
    found = taken(policy_mode="package", policy_package=f" {given_} ").policy.package
    assert found is not None
    assert found.get_secret_value() == given_


def test_a_policy_package_may_come_from_wheels_on_the_machine_alone() -> None:
    policy = taken(
        policy_mode="package", policy_package="x", policy_package_links="/srv/wheels"
    ).policy
    assert policy.package_source == PackageSource("x", links="/srv/wheels")


def test_a_policy_document_is_part_of_the_configuration() -> None:
    config = taken(policy_document="push: {collaborators: {enabled: false}}\n")
    assert config.policy.document == {"push": {"collaborators": {"enabled": False}}}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("push: {", "policy-document: is neither YAML nor JSON (line 1, column 8)"),
        ("a: 1\na: 2", "policy-document: has a key twice (line 2, column 1)"),
        ("[push]", "policy-document: must hold keys and values"),
        ("push", "policy-document: must hold keys and values"),
        ("2026-13-45", "policy-document: is neither YAML nor JSON"),
        ("? [a]\n: 1", f"{NO_WORD} (line 1, column 3)"),
        ("push: {}\non: {}", f"{NO_WORD} (line 2, column 1)"),
        ('{"push": {1: 2}}', f"{NO_WORD} (line 1, column 11)"),
        ("!!python/object:os.system {}", "policy-document: is neither YAML nor JSON"),
    ],
)
def test_a_policy_document_that_is_none_is_told_with_its_place(text: str, sentence: str) -> None:
    assert refusal(policy_document=text).startswith(sentence)


@pytest.mark.parametrize(
    ("given_", "policy"),
    [
        ({}, {"mode": "builtin"}),
        ({"policy_mode": "off"}, {"mode": "off"}),
        (
            {"policy_mode": "package", "policy_package": "repo-policy-compliance==1.11.0"},
            {"mode": "package", "package": "repo-policy-compliance==1.11.0"},
        ),
        (
            {"repo_policy_compliance_url": "https://policy.example.com"},
            {
                "mode": "external",
                "url": "https://policy.example.com",
                "token-file": "$CREDENTIALS_DIRECTORY/policy-token",
            },
        ),
    ],
)
def test_the_policy_is_what_its_options_say(given_: dict[str, Any], policy: dict[str, Any]) -> None:
    url = given_.get("repo_policy_compliance_url")
    credentials = Credentials(token="x", policy_token="y" if url else "")
    assert made(credentials=credentials, **given_)["policy"] == policy
    assert taken(credentials=credentials, **given_).policy.mode == policy["mode"]


@pytest.mark.parametrize(
    ("given_", "sentence"),
    [
        (
            {"policy_mode": "off", "repo_policy_compliance_url": "https://policy.example.com"},
            (
                "repo-policy-compliance-url: only for policy-mode `external`, and it is `off`; "
                "`juju config runners --reset repo-policy-compliance-url`"
            ),
        ),
        (
            {"policy_package": "repo-policy-compliance"},
            (
                "policy-package: only for policy-mode `package`, and it is `builtin`; "
                "`juju config runners --reset policy-package`"
            ),
        ),
        (
            {"policy_mode": "package"},
            (
                "policy-mode: `package` needs policy-package; for example "
                "`juju config runners policy-package=repo-policy-compliance==1.11.0`"
            ),
        ),
        (
            {"policy_mode": "external"},
            (
                "policy-mode: `external` needs repo-policy-compliance-url; "
                "`juju config runners repo-policy-compliance-url=https://HOST`"
            ),
        ),
        (
            {"repo_policy_compliance_url": "https://policy.example.com"},
            (
                "repo-policy-compliance-url: the service there needs a charm token; "
                "`juju config runners repo-policy-compliance-token-secret-id=SECRET`"
            ),
        ),
        (
            {"credentials": Credentials(token="x", policy_token="y")},
            (
                "repo-policy-compliance-token: there is no repo-policy-compliance-url to send "
                "it to; `juju config runners --reset "
                "repo-policy-compliance-token,repo-policy-compliance-token-secret-id`"
            ),
        ),
        (
            {"path": " "},
            "path: is not set; `juju config runners path=ORGANISATION`, or OWNER/REPOSITORY",
        ),
        (
            {"use_aproxy": True},
            (
                "use-aproxy: the model has no proxy to forward to; `juju model-config "
                "juju-http-proxy=http://HOST:PORT`, or `juju config runners --reset use-aproxy`"
            ),
        ),
        *(
            (
                {"reconcile_interval": minutes},
                (
                    "reconcile-interval: must be from 1 to 525,600 minutes; "
                    "`juju config runners reconcile-interval=10`"
                ),
            )
            for minutes in (0, -5, 525_601)
        ),
    ],
)
def test_options_that_contradict_each_other_are_told_with_what_mends_it(
    given_: dict[str, Any], sentence: str
) -> None:
    assert refusal(**given_) == sentence


def test_a_unit_s_name_that_is_too_long_is_told() -> None:
    assert taken(f"{'a' * 38}/0").name == f"{'a' * 38}-0"
    assert refusal(f"{'a' * 38}/10").startswith(
        f"the unit's name {'a' * 38}-10 has 41 characters, and is to have at most 40"
    )


def test_no_secret_is_in_the_document_or_shown_with_the_options() -> None:
    credentials = Credentials("ghp_secret", "-----BEGIN", "policy-secret")
    shown = repr((CharmOptions(token="ghp_secret"), credentials, made(credentials=TOKEN)))
    for secret in ("ghp_secret", "-----BEGIN", "policy-secret"):
        assert secret not in shown


TEXTS = st.one_of(
    st.text(max_size=30), st.sampled_from([str(one.get("default", "")) for one in OPTIONS.values()])
)
VALUES = {
    name.replace("-", "_"): {
        "string": TEXTS, "int": st.integers(), "boolean": st.booleans(), "secret": st.none(),
    }[option["type"]]
    for name, option in OPTIONS.items()
}  # fmt: skip


@given(
    values=st.fixed_dictionaries({}, optional=VALUES),
    policy_token=st.sampled_from(["", "x"]),
    proxies=st.builds(ModelProxies, TEXTS, TEXTS, TEXTS),
)
def test_any_options_give_a_document_for_yaml_or_one_sentence(
    values: dict[str, Any], policy_token: str, proxies: ModelProxies
) -> None:
    credentials = Credentials("ghp_secret", policy_token=policy_token)
    fault = ""
    found: dict[str, Any] = {}
    try:
        found = document(CharmOptions(**values), "runners/0", credentials, proxies, [])
    except OptionsError as error:
        fault = str(error)
    assert bool(fault) != bool(found)
    assert "\n" not in fault
    assert yaml.safe_load(yaml.safe_dump(found)) == found


VALID = {
    "path": st.sampled_from(["acme", "acme/repo", "enterprises/acme"]),
    "github_url": st.sampled_from(["https://github.com", "https://acme.ghe.com", ""]),
    "group": st.sampled_from(["default", "Default", ""]),
    "labels": st.lists(st.from_regex(r"[A-Za-z0-9_]{1,20}", fullmatch=True), max_size=5).map(
        " , ".join
    ),
    "virtual_machines": st.integers(0, 10_000),
    "max_unavailable": st.sampled_from(["25%", "1", ""]),
    "reconcile_interval": st.integers(1, 525_600),
    "vm_cpu": st.integers(1, 1024),
    "vm_memory": st.sampled_from(["7GiB", "512MiB", " 1TiB "]),
    "runner_storage": st.sampled_from(["juju-storage", "memory", "pool"]),
    "instance_type": st.sampled_from(["virtual-machine", "container"]),
    "denylist": st.sampled_from(["", "10.0.0.0/8, 2001:db8::/32", " 192.168.0.0/16 ,"]),
    "allowlist": st.sampled_from(["", "10.1.2.3:443, 10.4.0.0/16"]),
    "use_aproxy": st.booleans(),
    "dockerhub_mirror": st.sampled_from(["", "https://mirror.example.com"]),
    "otel_collector_endpoint": st.sampled_from(["", "https://collector.example.com/otlp"]),
    "policy_mode": st.sampled_from(["builtin", "off", ""]),
}


IMAGES = st.one_of(
    st.just({"lxd_image": "prepared"}),
    st.fixed_dictionaries(
        {
            "base_image": st.sampled_from(["jammy", "noble", "22.04", "24.04", "images:debian/12"]),
            "image_extra_packages": st.sampled_from(["", "cmake, libpq-dev"]),
            "image_script": st.sampled_from(["", "#!/bin/sh\ntrue\n"]),
        }
    ),
)


@given(values=st.fixed_dictionaries(VALID), image=IMAGES)
def test_valid_options_give_a_configuration_that_the_daemon_takes(
    values: dict[str, Any], image: dict[str, str]
) -> None:
    taken(proxies=PROXIES, **values, **image)
