from __future__ import annotations

import os
import subprocess

import pytest

from supervisor.gateways import capabilities, policy_process


def test_root_starts_programs_as_they_are() -> None:
    assert capabilities.without(["true", "--x"]) == ("true", "--x")


def test_what_others_start_has_none_of_their_capabilities(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    command = capabilities.without(["grep", "^Cap[EPA]", "/proc/self/status"])
    monkeypatch.undo()
    given = ("--inh-caps=-all,+net_admin", "--ambient-caps=-all,+net_admin")
    user = ("setpriv", "--reuid=61234", "--regid=61234", "--clear-groups", *given)
    done = subprocess.run([*user, *command], capture_output=True, text=True, check=True)
    none = "0000000000000000"
    assert done.stdout.split() == ["CapPrm:", none, "CapEff:", none, "CapAmb:", none]


def test_a_policy_service_of_the_daemons_own_user_takes_no_right_to_become_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nobody = policy_process.account("nobody")
    assert policy_process._identity("nobody")["user"] == nobody.pw_uid
    monkeypatch.setattr(os, "geteuid", lambda: nobody.pw_uid)
    assert policy_process._identity("nobody") == {}
