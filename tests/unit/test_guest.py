import shlex
import shutil
import subprocess

import pytest

from supervisor.guest import GuestParameters, body, user_data

SECRETS = {"jit_config": "c2VjcmV0LWppdA==", "signal_token": "secret-token"}
GIVEN = {
    "runner_name": "fleet-0a1b2c",
    "signal_url": "http://10.0.0.1:8642/v1/runners/fleet-0a1b2c/signals",
    "application_url": "https://example.com/runner-2.336.0.tar.gz?a=1&b='2'",
    "application_sha256": "ab" * 32,
    **SECRETS,
}


def test_the_script_starts_with_the_assignments_and_the_body_follows() -> None:
    script = user_data(GuestParameters(**GIVEN))
    head = script.removesuffix(body())
    assert head != script
    lines = head.splitlines()
    assert lines[0] == "#!/bin/sh"
    assert dict(shlex.split(line)[0].split("=", 1) for line in lines[1:]) == {
        "RUNNER_NAME": GIVEN["runner_name"],
        "JIT_CONFIG": GIVEN["jit_config"],
        "SIGNAL_URL": GIVEN["signal_url"],
        "SIGNAL_TOKEN": GIVEN["signal_token"],
        "APPLICATION_URL": GIVEN["application_url"],
        "APPLICATION_SHA256": GIVEN["application_sha256"],
        "RUNNER_USER": "runner",
        "RUNNER_HOME": "/opt/actions-runner",
    }


def test_the_body_is_the_same_for_every_runner() -> None:
    other = GuestParameters(**{**GIVEN, "runner_name": "other"})
    assert user_data(GuestParameters(**GIVEN)).endswith(body())
    assert user_data(other).endswith(body())


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox"])
def test_every_shell_can_read_the_script(shell: str) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.fail(f"{shell} is not installed")
    command = [program, "sh", "-n"] if shell == "busybox" else [program, "-n"]
    script = user_data(GuestParameters(**GIVEN))
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
    shown = repr(GuestParameters(**GIVEN))
    assert not any(secret in shown for secret in SECRETS.values())
