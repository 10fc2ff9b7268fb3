import itertools
import re
import shlex
import shutil
import subprocess
from typing import Any

import pytest

from supervisor.guest import GuestParameters, body, policy_script, secrets_in, user_data
from supervisor.guest.aproxy import Aproxy
from supervisor.guest.network import GuestNetwork
from supervisor.web.proxies import Proxies, Proxy

PROXY = Proxy("http://user:p%40ss~@proxy.example.com:3128")
TOLD = GuestNetwork(proxies=Proxies(PROXY, PROXY), dockerhub_mirror="https://mirror.example.com")
REDIRECTED = GuestNetwork(aproxy=Aproxy(Proxy("http://10.0.0.9:3128"), (80, 443), ()))
POLICY_URL = "http://10.0.0.1:8643"
SECRETS = {"jit_config": "c2VjcmV0LWppdA==", "signal_token": "secret-token"}
GIVEN: dict[str, Any] = {
    "runner_name": "fleet-0a1b2c",
    "signal_url": "http://10.0.0.1:8642/v1/runners/fleet-0a1b2c/signals",
    "application_url": "https://example.com/runner-2.336.0.tar.gz?a=1&b='2'",
    "application_sha256": "ab" * 32,
    **SECRETS,
}


def assigned(script: str) -> dict[str, str]:
    """Read the assignments that a script starts with."""
    first, *lines = script.splitlines()
    assert first == "#!/bin/sh"
    words = (shlex.split(line) for line in itertools.takewhile(is_assignment, lines))
    return dict(one.split("=", 1) for (one,) in words)


def is_assignment(line: str) -> bool:
    return re.match(r"[A-Za-z_0-9]+=", line) is not None


def test_the_script_starts_with_the_assignments_and_the_body_follows() -> None:
    script = user_data(GuestParameters(**GIVEN))
    assert script.endswith(body())
    assert assigned(script) == {
        "RUNNER_NAME": GIVEN["runner_name"],
        "JIT_CONFIG": GIVEN["jit_config"],
        "SIGNAL_URL": GIVEN["signal_url"],
        "SIGNAL_TOKEN": GIVEN["signal_token"],
        "APPLICATION_URL": GIVEN["application_url"],
        "APPLICATION_SHA256": GIVEN["application_sha256"],
        "TRIAL_VERSION": "",
        "RUNNER_USER": "runner",
        "RUNNER_HOME": "/opt/actions-runner",
        "POLICY_URL": "",
        "APROXY_PORT": "54969",
    }


def test_the_script_itself_goes_through_the_proxies() -> None:
    script = user_data(GuestParameters(**GIVEN, network=TOLD))
    given = assigned(script)
    assert given["http_proxy"] == given["HTTPS_PROXY"] == PROXY.url
    exported = re.search(r"^export (.*)$", script, re.MULTILINE)
    assert exported is not None
    assert set(exported[1].split()) == {name for name in given if name.lower().endswith("_proxy")}


def test_the_address_that_is_reported_to_is_never_redirected() -> None:
    script = user_data(GuestParameters(**GIVEN, network=REDIRECTED))
    assert assigned(script)["APROXY_PROXY"] == "10.0.0.9:3128"
    assert "elements = { 10.0.0.1/32, 127.0.0.0/8 }" in script


def test_what_a_script_holds_of_secrets_is_found_in_it() -> None:
    found = secrets_in(user_data(GuestParameters(**GIVEN, network=TOLD)))
    assert set(found) == {*SECRETS.values(), "user:p%40ss~", "p%40ss~", "user:p@ss~", "p@ss~"}


def test_only_a_trial_has_no_jit_configuration() -> None:
    given = {**GIVEN, "jit_config": ""}
    assert assigned(user_data(GuestParameters(**given, is_trial=True)))["JIT_CONFIG"] == ""
    for wrong in ({**GIVEN, "is_trial": True}, {**given, "is_trial": False}):
        with pytest.raises(ValueError, match="jit_config must be empty in a trial"):
            GuestParameters(**wrong)


def test_a_version_that_means_something_to_a_shell_is_refused() -> None:
    given = {**GIVEN, "jit_config": "", "is_trial": True}
    found = assigned(user_data(GuestParameters(**given, trial_version="2.336.0-rc1")))
    assert found["TRIAL_VERSION"] == "2.336.0-rc1"
    with pytest.raises(ValueError, match="trial_version: '2;reboot' is no version"):
        GuestParameters(**given, trial_version="2;reboot")


def test_the_body_is_the_same_for_every_runner() -> None:
    other = GuestParameters(**{**GIVEN, "runner_name": "other"})
    assert user_data(GuestParameters(**GIVEN)).endswith(body())
    assert user_data(other).endswith(body())


def test_only_a_guest_with_a_policy_is_given_the_script_that_asks_it() -> None:
    script = user_data(GuestParameters(**GIVEN, policy_url=POLICY_URL))
    assert assigned(script)["POLICY_URL"] == POLICY_URL
    assert policy_script(POLICY_URL) in script
    assert script.endswith(body())
    assert "/check-run" not in user_data(GuestParameters(**GIVEN))


@pytest.mark.parametrize("policy_url", ["", POLICY_URL])
@pytest.mark.parametrize("network", [GuestNetwork(), TOLD, REDIRECTED])
@pytest.mark.parametrize("shell", ["dash", "bash", "busybox"])
def test_every_shell_can_read_the_script(
    shell: str, network: GuestNetwork, policy_url: str
) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.fail(f"{shell} is not installed")
    command = [program, "sh", "-n"] if shell == "busybox" else [program, "-n"]
    script = user_data(GuestParameters(**GIVEN, network=network, policy_url=policy_url))
    done = subprocess.run(command, input=script, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("runner_name", ""),
        ("runner_name", "two words"),
        ("runner_name", "../other"),
        ("signal_url", "https://10.0.0.1/v1"),
        ("signal_url", "http://10.0.0.1:8642/a b"),
        ("application_url", "file:///etc/shadow"),
        ("application_url", "https://example.com/a\nb"),
        ("application_sha256", "AB" * 32),
        ("application_sha256", "ab" * 31),
        ("runner_user", "root:root"),
        ("runner_user", "-x"),
        ("runner_home", "relative/path"),
        ("runner_home", "/opt"),
        ("runner_home", "/opt/../etc"),
        ("runner_home", "/opt/a/"),
        ("policy_url", "10.0.0.1:8643"),
        ("policy_url", "http://10.0.0.1:8643/"),
        ("policy_url", "http://user:password@10.0.0.1"),
        ("policy_url", "http://10.0.0.1/$(id)"),
        ("policy_url", "file:///etc/shadow"),
    ],
)
def test_a_value_that_a_guest_can_not_use_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=name):
        GuestParameters(**{**GIVEN, name: value})


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("value", ["", 'a"b', "a\nb", "$(id)", "a b"])
def test_a_secret_that_a_guest_can_not_use_is_refused_and_not_shown(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=name) as caught:
        GuestParameters(**{**GIVEN, name: value})
    assert not value or repr(value) not in str(caught.value)


def test_the_parameters_do_not_show_their_secrets() -> None:
    shown = repr(GuestParameters(**GIVEN, network=TOLD))
    assert not any(secret in shown for secret in (*SECRETS.values(), "p%40ss"))
