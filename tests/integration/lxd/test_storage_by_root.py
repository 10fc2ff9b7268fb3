"""Pools of our own for a daemon that is not root: it asks, `prepare-storage` does it as root."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from unprivileged import USER, command, storage_command, unit_directory

from supervisor.config import Config, parse
from supervisor.gateways.lxd import Lxd
from supervisor.host import storage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.private_lxd import PrivateLxd

_UNIT = "github-runner-supervisor-storage.service"
_LOOK = """
import json, pathlib
from dataclasses import asdict
from supervisor.config import load
from supervisor.work import storage
print(json.dumps(asdict(storage.work_of(load(pathlib.Path({path!r}))).ensure())))
"""


@dataclass
class Asked:
    """One installation's storage, looked at by a user and made by root."""

    directory: Path
    python: Path
    given: dict[str, Any]

    @property
    def config(self) -> Config:
        return parse(self.given, "test")

    @property
    def path(self) -> Path:
        """Write the configuration, which is the user's."""
        path = self.directory / "config.yaml"
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(self.given))
        os.chown(path, USER, USER)
        return path

    def look(self) -> dict[str, Any]:
        look = _LOOK.format(path=str(self.path))
        program = command(self.python, look, Path(self.given["lxd"]["socket"]).parent)
        done = subprocess.run(program, capture_output=True, text=True, check=True, timeout=50)
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def wish(self, what: str) -> str:
        return f"waits for {_UNIT} to {what} storage pool {storage.pool_name(self.config)}"

    def prepare(self) -> subprocess.CompletedProcess[str]:
        arguments = ["prepare-storage", "--config", str(self.path)]
        return subprocess.run(
            storage_command(f"from supervisor.cli import main; main({arguments!r})"),
            capture_output=True,
            text=True,
            check=False,
            cwd=Path(__file__).parents[3],
            timeout=50,
        )


@pytest.fixture
def asked(
    request: pytest.FixtureRequest, real_lxd: PrivateLxd, python_for_all: Path
) -> Iterator[Asked]:
    """Storage for one runner with a small disk, in memory or in a directory; nothing is made."""
    with unit_directory(real_lxd.daemon.directory) as directory:
        disk = directory / "disk"
        disk.mkdir()
        given = {
            "name": "asked",
            "path": "acme",
            "token": "s",
            "vm-disk": "64MiB",
            "vm-memory": "256MiB",
            "runner-storage": "memory" if request.param == "memory" else str(disk),
            "state-directory": str(directory / "state"),
            "lxd": {
                "socket": str(real_lxd.daemon.socket),
                "pool": real_lxd.pool,
                "project": real_lxd.project,
                "image": real_lxd.image,
            },
        }
        made = Asked(directory, python_for_all, given)
        yield made
        made.given["runner-storage"] = "pool"
        done = made.prepare()
        assert done.returncode == 0, done.stderr
        pools = {one.name for one in Lxd(real_lxd.endpoint).resources("storage-pools")}
        assert pools == {real_lxd.pool}
        assert not storage.homes(made.config).exists()
        assert list(disk.iterdir()) == []


@pytest.mark.parametrize("asked", ["memory", "directory"], indirect=True)
def test_a_pool_is_made_healed_enlarged_and_removed_for_who_is_not_root(asked: Asked) -> None:
    own = storage.own_pool(asked.config)
    assert own

    def is_met(what: str) -> None:
        found = asked.look()
        assert (found["reason"], found["asked"]) == (asked.wish(what), True)
        assert storage.request(asked.config).stat().st_uid == USER
        done = asked.prepare()
        assert done.returncode == 0, done.stderr
        found = asked.look()
        assert (found.get("pool"), found.get("reason")) == (own.name, None)
        assert found["size"] == storage.wanted_bytes(asked.config)

    is_met("make")
    assert own.image.stat().st_mode & 0o777 == 0o600
    assert own.home.stat().st_uid == own.home.parent.stat().st_uid == 0
    subprocess.run(["umount", str(own.mounted)], check=True)
    is_met("mount")
    asked.given["virtual-machines"] = 3
    is_met("enlarge")
    asked.given["runner-storage"] = "pool"
    (warning,) = asked.look()["warnings"]
    assert warning == f"waits for {_UNIT} to remove storage pool {own.name} of earlier settings"
    assert asked.prepare().returncode == 0
    assert asked.look()["warnings"] == []
    assert not own.image.exists()


@pytest.mark.parametrize("asked", ["memory"], indirect=True)
def test_why_root_can_not_do_it_is_told_to_who_asked(asked: Asked) -> None:
    own = storage.own_pool(asked.config)
    assert own
    asked.look()
    elsewhere = asked.directory / "elsewhere"
    elsewhere.mkdir()
    storage.homes(asked.config).symlink_to(elsewhere)
    elsewhere.chmod(0o777)
    done = asked.prepare()
    assert done.returncode == 1
    assert "runners' disks would be in others' hands" in done.stderr
    assert list(elsewhere.iterdir()) == []
    storage.homes(asked.config).unlink()
    own.home.parent.mkdir()
    own.home.write_text("a file in the way")
    assert asked.prepare().returncode == 1
    found = asked.look()
    assert found["reason"].startswith(f"{_UNIT} could not make storage pool {own.name}: could not ")
    assert not found["asked"]
    own.home.unlink()
    assert asked.prepare().returncode == 0
    assert asked.look()["pool"] == own.name
