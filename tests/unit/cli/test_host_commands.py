"""What the commands that need no daemon say and return, where there is neither LXD nor GitHub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from ports import free_port

from supervisor import daemon
from supervisor.cli import main
from supervisor.config import load
from supervisor.gateways.nftables import Nftables, NftablesError
from supervisor.work import registrations


@pytest.fixture(autouse=True)
def _without_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no filter of the kernel's, and nobody who is worth to be waited for."""

    def fail(*_arguments: Any) -> list[str]:
        raise NftablesError("could not list tables: there is no program nft; install nftables")

    monkeypatch.setattr(registrations, "_RETRY_S", 0.01)
    monkeypatch.setattr(Nftables, "tables", fail)
    monkeypatch.setattr(Nftables, "tables_with_chains", fail)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.touch(mode=0o600)
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    document = {
        "name": "fleet",
        "path": "acme",
        "github-url": f"http://127.0.0.1:{free_port()}",
        "token": "made-up-secret-token",
        "state-directory": str(state),
        "control": {"socket": str(tmp_path / "control.sock")},
        "lxd": {"socket": str(tmp_path / "lxd.sock")},
    }
    path.write_text(yaml.safe_dump(document))
    return path


def call(command: str, config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, [command, "--config", str(config), *arguments])


@pytest.mark.parametrize("command", ["prepare-lxd", "uninstall", "remove-firewall"])
def test_a_configuration_that_can_not_be_used_is_two_and_one_line(
    command: str, tmp_path: Path
) -> None:
    done = call(command, tmp_path / "none.yaml")
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)


def test_preparing_without_lxd_is_one_and_one_line(config: Path) -> None:
    done = call("prepare-lxd", config)
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert str(config.parent / "lxd.sock") in done.stderr


@pytest.mark.parametrize("command", ["uninstall", "remove-firewall"])
def test_what_a_daemon_would_undo_is_refused_while_one_runs(command: str, config: Path) -> None:
    with daemon.only_one(load(config).control.socket):
        done = call(command, config)
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("the daemon is running, and would ")
    assert done.stderr.endswith(": stop it first\n")


def test_what_is_left_is_said_line_by_line_and_the_rest_is_removed(config: Path) -> None:
    logs = config.parent / "state" / "logs"
    logs.mkdir()
    (logs / "one").touch()
    done = call("uninstall", config)
    assert done.exit_code == 1
    assert done.stdout == f"removed {logs}\n"
    left = [line.split(": ")[1] for line in done.stderr.splitlines()]
    assert left == ["what is in LXD", "registrations at acme", "the firewall"]
    assert "made-up-secret-token" not in done.output
    assert not logs.exists()


def test_a_program_reads_it_as_json(config: Path) -> None:
    (config.parent / "state" / "drained").touch()
    done = call("uninstall", config, "--json")
    assert (done.exit_code, done.stderr) == (1, "")
    answer = json.loads(done.stdout)
    assert answer.keys() == {"removed", "kept", "left"}
    assert answer["removed"] == [str(config.parent / "state" / "drained")]
    assert [one.keys() for one in answer["left"]] == [{"what", "why"}] * 3


def test_a_firewall_that_others_keep_is_not_asked_for(config: Path) -> None:
    config.write_text(config.read_text() + "firewall: external\n")
    assert "the firewall" not in call("uninstall", config).stderr


def test_socket_and_lock_go_too_and_what_the_daemon_has_not_made_stays(config: Path) -> None:
    socket, theirs = config.parent / "control.sock", config.parent / "state" / "theirs"
    socket.touch()
    theirs.touch()
    call("uninstall", config)
    assert {path.name for path in config.parent.iterdir()} == {"config.yaml", "state"}
    assert theirs.exists()


def test_links_in_the_state_directory_are_removed_and_not_followed(config: Path) -> None:
    elsewhere = config.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").touch()
    (config.parent / "state" / "logs").symlink_to(elsewhere)
    call("uninstall", config)
    assert not (config.parent / "state" / "logs").is_symlink()
    assert (elsewhere / "precious").exists()
