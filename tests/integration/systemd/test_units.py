"""The units in `systemd/`: systemd takes them, they shield, and they name what the table names."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from supervisor.config import DEFAULT_PATH, DEFAULT_SOCKET, parse
from supervisor.host.storage import request
from supervisor.work import storage as storage_work

UNITS = Path(__file__).parents[3] / "systemd"
DAEMON, STORAGE, WATCH = (
    "github-runner-supervisor.service",
    "github-runner-supervisor-storage.service",
    "github-runner-supervisor-storage.path",
)
CLI = "/opt/github-runner-supervisor/current/bin/supervisor-cli"
CONFIG = parse({"name": "fleet", "path": "acme", "token": "s"}, "test")


def settings(unit: str) -> dict[str, list[str]]:
    """Read a unit: all values of each setting, whatever its section."""
    found: dict[str, list[str]] = {}
    for line in (UNITS / unit).read_text(encoding="utf-8").splitlines():
        key, is_setting, value = line.partition("=")
        if is_setting and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def test_there_are_no_others() -> None:
    assert {path.name for path in UNITS.iterdir()} == {DAEMON, STORAGE, WATCH}


def test_systemd_understands_them(tmp_path: Path) -> None:
    for unit in UNITS.iterdir():
        # The program is not there, which is not what is asked.
        text = unit.read_text(encoding="utf-8").replace(CLI, "/bin/true")
        (tmp_path / unit.name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *map(str, sorted(tmp_path.iterdir()))],
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("unit", [DAEMON, STORAGE])
def test_a_service_is_exposed_by_three_of_ten_at_most(unit: str) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=30", str(UNITS / unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_daemons_paths_are_where_everybody_looks_for_them() -> None:
    daemon = settings(DAEMON)
    assert daemon["ExecStart"] == [f"{CLI} run"]
    credentials = DEFAULT_PATH.parent / "credentials"
    assert daemon["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    assert daemon["AssertPathExists"] == [str(DEFAULT_PATH)]
    assert [f"/var/lib/{name}" for name in daemon["StateDirectory"]] == [
        str(CONFIG.state_directory)
    ]
    assert [f"/run/{name}" for name in daemon["RuntimeDirectory"]] == [str(DEFAULT_SOCKET.parent)]
    assert daemon["LogsDirectory"] == [DEFAULT_PATH.parent.name]
    assert daemon["LoadCredential"] == [f"token:{credentials}/token"]


def test_the_daemon_is_nobody_but_a_user_with_one_capability() -> None:
    daemon = settings(DAEMON)
    assert (daemon["User"], daemon["Group"]) == (["github-runner-supervisor"],) * 2
    assert daemon["SupplementaryGroups"] == ["lxd"]
    assert daemon["AmbientCapabilities"] == daemon["CapabilityBoundingSet"] == ["CAP_NET_ADMIN"]


def test_what_the_daemon_asks_for_is_what_is_watched_and_started() -> None:
    assert settings(WATCH)["PathModified"] == [str(request(CONFIG))]
    assert WATCH in settings(DAEMON)["Wants"][0].split()
    assert settings(WATCH)["PartOf"] == [DAEMON]
    assert settings(STORAGE)["ExecStart"] == [f"{CLI} prepare-storage"]
    assert WATCH.replace(".path", ".service") == STORAGE == storage_work._UNIT


@pytest.mark.parametrize("unit", [DAEMON, STORAGE])
def test_each_exception_from_the_hardening_is_explained(unit: str) -> None:
    text = (UNITS / unit).read_text(encoding="utf-8")
    document = (UNITS.parent / "docs" / "installation.md").read_text(encoding="utf-8")
    given = settings(unit)
    for setting in ("PrivateDevices", "PrivateUsers", "ProcSubset"):
        assert setting not in given
        assert setting in document
    for capability in re.findall(r"CAP_\w+", text):
        assert capability in document
