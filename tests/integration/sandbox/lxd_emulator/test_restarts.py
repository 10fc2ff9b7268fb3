"""The daemon's part goes down and comes up; state and guests stay."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import requests
from pylxd import Client
from pylxd.client import get_session_for_url
from pylxd.exceptions import ClientConnectionFailed, NotFound

from sandbox.lxd_emulator import LxdEmulator, OperationFault

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = {"type": "image", "alias": "tiny"}


def start(client: Client, name: str, **more: Any) -> Any:
    request = {"name": name, "ephemeral": True, "source": SOURCE, **more}
    instance = client.instances.create(request, wait=True)
    instance.start(wait=True)
    return instance


def test_guests_outlive_the_daemon(lxd: LxdEmulator, client: Client, events: Any) -> None:
    start(client, "a1")
    guests = lxd.guests()
    lxd.go_down()
    assert events.ended.wait(30)
    with pytest.raises(requests.exceptions.ConnectionError):
        client.instances.all()
    with pytest.raises(ClientConnectionFailed):
        Client(endpoint=lxd.endpoint)
    lxd.come_up()
    assert [one.status for one in client.instances.all(recursion=1)] == ["Running"]
    assert lxd.guests().keys() == guests.keys()


def test_operations_are_lost_with_the_daemon(lxd: LxdEmulator, client: Client) -> None:
    lxd.want(OperationFault(way="stall"))
    request = {"name": "a1", "source": SOURCE}
    operation = client.api.instances.post(json=request).json()["metadata"]["id"]
    lxd.restart()
    with pytest.raises(NotFound):
        client.operations.get(operation)


def test_what_died_meanwhile_is_started_again(
    lxd: LxdEmulator, client: Client, github: Any, host: Any
) -> None:
    start(client, "r-1", config={"cloud-init.user-data": host.script(github, "r-1")})
    assert github.wait_for(lambda: [r.status for r in github.runners()] == ["online"], 5)
    lxd.go_down()
    assert lxd.crash_guest("r-1")
    assert [one.status for one in lxd.instances()] == ["Running"]
    lxd.come_up()
    # The guest notices that it has been there before, and ends; so it is gone in the end.
    assert lxd.wait_for(lambda: lxd.instances() == ())
    assert host.signals("r-1") == ["ready", "failed"]


def test_what_is_not_to_be_started_stays_stopped(lxd: LxdEmulator, client: Client) -> None:
    start(client, "a1", config={"boot.autostart": "false"})
    lxd.go_down()
    lxd.crash_guest("a1")
    lxd.come_up()
    assert [(one.name, one.status) for one in lxd.instances()] == [("a1", "Stopped")]


def test_a_restart_can_be_asked_for_over_the_socket(lxd: LxdEmulator, events: Any) -> None:
    with get_session_for_url(lxd.endpoint) as session:
        url = f"{lxd.endpoint}/_emulator/restart"
        assert session.post(url, json={"down_s": 0.1}).status_code == 200
    assert events.ended.wait(30)
    assert lxd.wait_for(lambda: _answers(lxd))


def _answers(lxd: LxdEmulator) -> bool:
    try:
        Client(endpoint=lxd.endpoint)
    except ClientConnectionFailed:
        return False
    return True


def test_a_state_file_keeps_instances_over_the_end(tmp_path: Path) -> None:
    given: dict[str, Any] = {"state_file": tmp_path / "state", "images": {"tiny": "container"}}
    with LxdEmulator(tmp_path / "socket", **given) as lxd:
        start(Client(endpoint=lxd.endpoint), "a1", config={"boot.autostart": "false"})
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o600
    with LxdEmulator(tmp_path / "socket", **given) as lxd:
        assert [(one.name, one.status) for one in lxd.instances()] == [("a1", "Stopped")]


def test_a_wrong_state_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("{}")
    with pytest.raises(ValueError, match="no state of the LXD emulator"):
        LxdEmulator(tmp_path / "socket", state_file=tmp_path / "state").start()


def test_it_runs_as_a_process(tmp_path: Path) -> None:
    socket = tmp_path / "lxd.socket"
    command = [sys.executable, "-m", "sandbox.lxd_emulator", "--socket", str(socket)]
    with subprocess.Popen(
        [*command, "--instant", "--image", "tiny"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"LXD emulator at {socket}\n"
        start(Client(endpoint=f"http+unix://{str(socket).replace('/', '%2F')}"), "a1")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert not socket.exists()
