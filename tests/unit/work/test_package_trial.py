"""What a trial of a policy package sees to before anything is started."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import Any

import pytest

from supervisor.config import Config, parse
from supervisor.gateways.policy_process import PolicyProcessError
from supervisor.work import package_trial
from supervisor.work.package_trial import Tried, try_out


def config(state: Path, **policy: Any) -> Config:
    given = {"mode": "package", "package": "demo", **policy}
    keys = {"name": "fleet", "path": "acme", "token": "ghp_secret", "policy": given}
    return parse({**keys, "state-directory": str(state)}, "test")


def test_whom_it_runs_as_finds_its_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launches: list[Any] = []

    def start(launch: Any, *_: Any) -> Any:
        launches.append(launch)
        raise PolicyProcessError("no room")

    monkeypatch.setattr(package_trial, "PolicyProcess", start)
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    python = state / "policy-package" / "1" / "bin" / "python"
    own = tmp_path / "own"
    own.mkdir()
    assert try_out(config(state, user="nobody"), python, own) == Tried("no room")
    assert own.owner() == "nobody"
    found = state.stat()
    assert (found.st_gid, found.st_mode & 0o777) == (pwd.getpwnam("nobody").pw_gid, 0o710)
    (launch,) = launches
    assert (launch.user, launch.workers, launch.program[0]) == ("nobody", 1, str(python))
    assert "ghp_secret" not in repr(launch)


def test_a_directory_of_another_user_is_said_and_nothing_is_started(tmp_path: Path) -> None:
    own = tmp_path / "policy"
    own.mkdir()
    os.chown(own, 65534, 65534)
    tried = try_out(config(tmp_path), tmp_path / "python", tmp_path)
    assert tried.fault.startswith(f"{own} is another user's")
