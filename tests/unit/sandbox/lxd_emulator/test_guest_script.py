from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.lxd_emulator import guest_script
from supervisor.guest import GuestParameters, user_data


@given(
    st.dictionaries(
        st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}", fullmatch=True),
        st.text(st.characters(exclude_categories=["C", "Z"]), max_size=20),
    )
)
def test_whatever_a_shell_would_read_is_read(values: dict[str, str]) -> None:
    lines = [f"{name}={shlex.quote(value)}" for name, value in values.items()]
    script = "\n".join(["#!/bin/sh", *lines, "set -u", "LATER=1", ""])
    assert guest_script.assignments(script) == values


def test_the_daemons_own_script_is_understood() -> None:
    parameters = GuestParameters(
        runner_name="r-1",
        jit_config="e30=",
        signal_url="http://127.0.0.1:8080/v1/runners/r-1/signals",
        signal_token="made-up",
        application_url="http://127.0.0.1/x.tar.gz",
        application_sha256="0" * 64,
    )
    found = guest_script.assignments(user_data(parameters))
    assert found["SIGNAL_URL"] == parameters.signal_url
    assert found["JIT_CONFIG"] == "e30="
    assert "GUEST_DIR" not in found


@pytest.mark.parametrize(
    ("script", "seconds", "succeeds"),
    [
        ("echo hi\n", 0, True),
        ("sleep 2\necho hi\nsleep 0.5\n", 2.5, True),
        ("sleep 1; exit 3\nsleep 5\n", 1, False),
        ("echo a && false\n", 0, False),
        ("exit 0\nfalse\n", 0, True),
        ("echo sleep 9\n", 0, True),
    ],
)
def test_a_jobs_script_tells_how_it_would_go(script: str, seconds: float, succeeds: bool) -> None:
    job = guest_script.job(f"id=7\nrepository=a/b\n\n{script}")
    assert (job.seconds, job.succeeds) == (seconds, succeeds)
    assert job.fields == {"id": "7", "repository": "a/b"}


@pytest.mark.parametrize("text", ["", "e30=", "no base64!", "bnVsbA=="])
def test_what_is_no_registration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        guest_script.registration(text)


def test_a_registration_hides_its_token() -> None:
    text = repr(guest_script.Registration("http://127.0.0.1", "made-up", ephemeral=True))
    assert "made-up" not in text
