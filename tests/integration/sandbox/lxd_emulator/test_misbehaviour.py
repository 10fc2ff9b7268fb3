"""What the emulator does when it is told to misbehave."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import pytest
import requests
from pylxd import Client
from pylxd.client import get_session_for_url
from pylxd.exceptions import LXDAPIException

from sandbox.lxd_emulator import CallFault, EventFault, ListingFault, OperationFault

if TYPE_CHECKING:
    from sandbox.lxd_emulator import LxdEmulator

PING = b"\x89\x00"  # without content
REQUEST = {"name": "a1", "ephemeral": True, "source": {"type": "image", "alias": "tiny"}}


def test_a_call_fails_as_often_as_it_should(lxd: LxdEmulator, client: Client) -> None:
    lxd.want(CallFault(way="fail", method="POST", path="/1.0/instances", text="no", times=2))
    for _ in range(2):
        with pytest.raises(LXDAPIException, match="no") as caught:
            client.instances.create(REQUEST)
        assert caught.value.response.status_code == 500
    client.instances.create(REQUEST, wait=True)


def test_a_call_that_hangs_runs_into_the_clients_limit(lxd: LxdEmulator, client: Client) -> None:
    hasty = Client(endpoint=lxd.endpoint, timeout=0.2)
    lxd.want(CallFault(way="hang", path="/1.0/instances"))
    with pytest.raises(requests.exceptions.ReadTimeout):
        hasty.instances.all()
    assert client.instances.all() == []


def test_a_call_that_hangs_for_a_while_is_done_then(lxd: LxdEmulator, client: Client) -> None:
    lxd.want(CallFault(way="hang", method="POST", seconds=0.1))
    client.instances.create(REQUEST, wait=True)
    assert client.instances.exists("a1")


def test_a_dropped_call_does_nothing(lxd: LxdEmulator, client: Client) -> None:
    lxd.want(CallFault(way="drop", method="POST"))
    with pytest.raises(requests.exceptions.ConnectionError):
        client.instances.create(REQUEST)
    assert client.instances.all() == []


def test_a_call_whose_answer_is_lost_is_done(lxd: LxdEmulator, client: Client) -> None:
    lxd.want(CallFault(way="lose", method="POST"))
    with pytest.raises(requests.exceptions.ConnectionError):
        client.instances.create(REQUEST)
    assert lxd.wait_for(lambda: [i.name for i in lxd.instances()] == ["a1"])


def test_an_answer_is_garbled(lxd: LxdEmulator) -> None:
    lxd.want(CallFault(way="garble", path="/1.0/instances", status=200, text="<html>"))
    with get_session_for_url(lxd.endpoint) as session:
        answer = session.get(f"{lxd.endpoint}/1.0/instances")
    assert (answer.status_code, answer.text) == (200, "<html>")


def test_what_a_listing_hides_is_there_by_name(lxd: LxdEmulator, client: Client) -> None:
    client.instances.create(REQUEST, wait=True)
    lxd.want(ListingFault(way="hide", times=None))
    assert client.instances.all() == []
    assert client.instances.get("a1").name == "a1"


def test_an_operation_that_pretends_to_fail_is_done(lxd: LxdEmulator, client: Client) -> None:
    instance = client.instances.create(REQUEST, wait=True)
    lxd.want(OperationFault(way="pretend", description="Starting*", text="broken"))
    with pytest.raises(LXDAPIException, match="broken"):
        instance.start(wait=True)
    assert client.instances.get("a1").status == "Running"


def test_an_operation_fails_with_the_words_it_was_given(lxd: LxdEmulator, client: Client) -> None:
    instance = client.instances.create(REQUEST, wait=True)
    lxd.want(
        OperationFault(way="fail", description="Deleting*", name="a1", text="stuck", times=None)
    )
    for _ in range(2):
        with pytest.raises(LXDAPIException, match="stuck"):
            client.instances.get("a1").delete(wait=True)
    lxd.want_nothing()
    instance.delete(wait=True)


def test_a_stalled_operation_stays_running(lxd: LxdEmulator, client: Client) -> None:
    lxd.want(OperationFault(way="stall", description="Creating*"))
    answer = client.api.instances.post(json=REQUEST).json()
    operation = client.api.operations[answer["metadata"]["id"]]
    found = operation.wait.get(params={"timeout": 0}).json()["metadata"]
    assert (found["status"], found["err"]) == ("Running", "")
    assert not client.instances.exists("a1")


@pytest.mark.parametrize(
    ("way", "told"),
    [
        ("withhold", ["instance-started", "instance-deleted", "instance-stopped"]),
        (
            "duplicate",
            ["instance-created"] * 2 + ["instance-started", "instance-deleted", "instance-stopped"],
        ),
        (
            "reorder",
            ["instance-started", "instance-created", "instance-deleted", "instance-stopped"],
        ),
        (
            "delay",
            ["instance-started", "instance-deleted", "instance-stopped", "instance-created"],
        ),
    ],
)
def test_an_event_does_not_come_as_it_should(
    way: Any, told: list[str], lxd: LxdEmulator, client: Client, events: Any
) -> None:
    lxd.want(EventFault(way=way, action="instance-created", name="a1", seconds=3.0))
    instance = client.instances.create(REQUEST, wait=True)
    instance.start(wait=True)
    instance.stop(wait=True)
    assert events.actions(len(told)) == told


def test_event_streams_break_and_can_be_had_again(lxd: LxdEmulator, events: Any) -> None:
    lxd.close_event_streams()
    assert events.ended.wait(30)
    assert lxd.wait_for(lambda: lxd.event_streams() == 0)


@pytest.mark.parametrize("mute", [False, True], ids=["sound", "mute"])
def test_a_stream_gives_signs_of_life_unless_it_is_mute(mute: bool, lxd: LxdEmulator) -> None:
    if mute:
        lxd.want(EventFault(way="mute"))
    # By hand: the ping may come in one piece with the handshake's answer.
    with socket.socket(socket.AF_UNIX) as stream:
        stream.connect(str(lxd.socket))
        stream.sendall(
            b"GET /1.0/events?type=lifecycle HTTP/1.1\r\nHost: lxd\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
        )
        stream.settimeout(30)
        got = stream.recv(4096)
        if mute:
            stream.settimeout(0.5)
        try:
            while not got.endswith(PING):
                got += stream.recv(4096)
        except TimeoutError:
            assert mute
    assert got.startswith(b"HTTP/1.1 101 ")
    assert got.endswith(b"\r\n\r\n" if mute else PING)


def test_faults_can_be_asked_for_over_the_socket(lxd: LxdEmulator, client: Client) -> None:
    with get_session_for_url(lxd.endpoint) as session:
        url = f"{lxd.endpoint}/_emulator/faults"
        fault = {"kind": "call", "way": "fail", "path": "/1.0/instances", "status": 503}
        assert session.post(url, json=fault).status_code == 200
        with pytest.raises(LXDAPIException) as caught:
            client.instances.all()
        assert caught.value.response.status_code == 503
        refused = session.post(url, json={"kind": "call", "way": "zz"})
        assert (refused.status_code, json.loads(refused.text)["error"]) == (
            400,
            "way must be one of drop, fail, garble, hang, lose",
        )
