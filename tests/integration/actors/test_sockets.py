"""The two web services on real sockets, with clients that mean no good."""

from __future__ import annotations

import contextlib
import socket
import stat
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from fake_world import World
from ports import free_port
from signal_service import NAME, Service
from waiting import LIMIT_S, eventually

from supervisor import lifecycle
from supervisor.actors.control import ControlActor
from supervisor.actors.signals import BOUNDS
from supervisor.cli.client import ControlClient, ControlError, NotRunning
from supervisor.control import THREADS, orders
from supervisor.gateways.lxd import LxdUnavailable
from supervisor.messages.runner import Happened
from supervisor.messages.signals import AnnounceSignals, SignalsListening
from supervisor.supervision import ChildSpec, Crash

MakeWorld = Callable[..., World]


def test_guests_report_at_the_bridges_address(service: Service) -> None:
    base = f"http://127.0.0.1:{service.port}"
    eventually(lambda: service.fleet == [SignalsListening(base)])
    assert service.signal() == 204
    eventually(lambda: service.runner == [Happened(lifecycle.GuestReady())])
    assert service.world.shown("signals") == ("listening", f"guests report to {base}")


def test_an_address_that_lxd_does_not_know_yet_is_asked_for_again(make_world: MakeWorld) -> None:
    world = make_world(signals={"port": free_port()})
    world.lxd.fail("bridge_address", LxdUnavailable("LXD is not running"))
    service = Service(world)
    eventually(lambda: world.shown("signals") == ("failing", "LXD is not running"))
    assert world.details("signals")["cause"] == "lxd-unavailable"
    world.tell("signals", AnnounceSignals())
    world.clock.advance(2)
    eventually(lambda: service.fleet)
    assert len(service.fleet) == 1
    assert service.signal() == 204


def test_a_configured_address_needs_no_lxd(make_world: MakeWorld) -> None:
    world = make_world(signals={"port": free_port(), "address": "127.0.0.2"})
    service = Service(world)
    eventually(lambda: service.fleet == [SignalsListening(f"http://127.0.0.2:{service.port}")])
    assert world.lxd.count("bridge_address") == 0


def test_after_a_crash_the_same_address_is_taken_again(service: Service) -> None:
    for crashes in range(1, 4):
        service.world.tell("signals", Crash("a test"))
        eventually(lambda crashes=crashes: len(service.fleet) == crashes + 1)
        assert service.signal() == 204


def test_at_its_end_nobody_listens_any_more(service: Service) -> None:
    service.world.system.stop()
    with pytest.raises(ConnectionRefusedError):
        service.connect()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00" * 100,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        b"GET\r\n\r\n",
        b"POST /v1/runners/x/signals HTTP/9.9\r\n\r\n",
        b"POST /v1/runners/x/signals HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/runners/x/signals HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST /v1/runners/x/signals HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        b"POST /v1/runners/x/signals HTTP/1.1\r\nbad header\r\n\r\n",
        b"POST /v1/runners/\xff\xfe/signals HTTP/1.1\r\n\r\n",
        b"POST /v1/runners/%ff%00/signals HTTP/1.1\r\nAuthorization: Bearer \xff\r\n\r\n",
        b"POST http://[::1/ HTTP/1.1\r\n\r\n",
        b"A" * 100_000,
        b"POST / HTTP/1.1\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
    ],
)
def test_whatever_arrives_the_service_lives_on(service: Service, data: bytes) -> None:
    answer = service.raw(data)
    assert not answer or answer.split(b" ", 2)[1].startswith(b"4")
    assert b"Traceback" not in answer
    assert service.signal() == 204
    assert len(service.runner) <= 1


def test_a_body_too_large_is_refused(service: Service) -> None:
    head = f"POST /v1/runners/{NAME}/signals HTTP/1.1\r\nAuthorization: Bearer right\r\n"
    refused = service.raw(f"{head}Content-Length: 999999999\r\n\r\n".encode() + b"x" * 9000)
    assert refused.startswith(b"HTTP/1.1 413") or not refused
    chunked = b"Transfer-Encoding: chunked\r\n\r\n" + b"1000\r\n" + b"y" * 4096 + b"\r\n"
    refused = service.raw(head.encode() + chunked + b"1000\r\n" + b"y" * 4096 + b"\r\n0\r\n\r\n")
    assert refused.startswith(b"HTTP/1.1 413") or not refused
    assert service.runner == []
    assert service.signal() == 204


def test_wrong_tokens_in_numbers_change_nothing(service: Service) -> None:
    before = len(service.world.logged)
    assert {service.signal(token=f"guess-{n}") for n in range(200)} == {401}
    assert service.runner == []
    assert len(service.world.logged) - before < 5
    assert service.signal() == 204


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


_MORE_WORKERS = 3


def test_a_taken_address_is_said_and_tried_again(
    make_world: MakeWorld, failed_tries: list[str]
) -> None:
    threads = threading.active_count()
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        world = make_world(signals={"port": port})
        service = Service(world)
        wanted = f"can't listen at 127.0.0.1:{service.port}: Address already in use"
        eventually(lambda: world.shown("signals") == ("failing", wanted))
        # The pool of workers that asks LXD for the address grows to its size.
        started, open_before = threading.active_count(), descriptors()
        for _ in range(20):
            world.clock.advance(2)
        world.settle()
        assert failed_tries == [wanted] * 21
        assert threads < threading.active_count() <= started + _MORE_WORKERS
        assert descriptors() <= open_before
        assert service.fleet == []
    world.clock.advance(2)
    eventually(lambda: service.fleet)
    assert service.signal() == 204


@pytest.mark.usefixtures("many_descriptors")
def test_the_service_works_where_select_would_not(service: Service) -> None:
    with contextlib.ExitStack() as stack:
        while stack.enter_context(Path("/dev/null").open()).fileno() < 1030:
            pass
        assert service.signal() == 204
        assert service.signal() == 204


# The control socket.


@pytest.fixture
def control(make_world: MakeWorld, tmp_path: Path) -> World:
    world = make_world(control={"socket": str(tmp_path / "control.sock"), "debug": True})
    actor = partial(ControlActor.start, world.system, world.parts)
    world.run(ChildSpec("control", actor))
    return world


def socket_of(world: World) -> Path:
    return world.parts.settings.config.control.socket


def test_the_control_socket_is_for_owner_and_group(control: World) -> None:
    mode = socket_of(control).stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o660
    assert ControlClient(socket_of(control)).get("/v1/status")["name"] == "fleet"


def test_a_socket_that_a_killed_daemon_left_is_replaced(
    make_world: MakeWorld, tmp_path: Path
) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    assert path.exists()
    world = make_world(control={"socket": str(path)})
    world.run(ChildSpec("control", partial(ControlActor.start, world.system, world.parts)))
    assert ControlClient(path).get("/v1/version")


def test_a_control_socket_that_can_not_be_made_is_tried_again(
    make_world: MakeWorld, tmp_path: Path
) -> None:
    path = tmp_path / "control.sock"
    path.mkdir()
    world = make_world(control={"socket": str(path)})
    world.run(ChildSpec("control", partial(ControlActor.start, world.system, world.parts)))
    why = ("failing", f"can't make {path}: Address already in use")
    assert world.shown("control") == why
    assert world.logged == [f"{why[1]}\n"]
    path.rmdir()
    world.clock.advance(2)
    eventually(lambda: world.shown("control")[0] == "listening")
    assert ControlClient(path).get("/v1/version")


def test_the_control_socket_is_gone_at_the_end(control: World) -> None:
    control.system.stop()
    assert not socket_of(control).exists()
    with pytest.raises(NotRunning):
        ControlClient(socket_of(control)).get("/v1/status")


def test_orders_that_nobody_answers_keep_nobody_from_hearing_how_the_fleet_is(
    control: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, goes_on = threading.Semaphore(0), threading.Event()

    def wait_long(*_given: object) -> None:
        waiting.release()
        goes_on.wait(LIMIT_S)

    monkeypatch.setattr(orders, "_ask", wait_long)
    client = ControlClient(socket_of(control))

    def order() -> None:
        with contextlib.suppress(ControlError):
            client.post("/v1/reconcile")

    operators = [threading.Thread(target=order) for _ in range(THREADS - 2)]
    try:
        for operator in operators:
            operator.start()
            assert waiting.acquire(timeout=LIMIT_S)
        assert client.get("/v1/status")["name"] == "fleet"
        with pytest.raises(ControlError, match=r"6 orders and questions wait .* try again"):
            client.post("/v1/reconcile")
    finally:
        goes_on.set()
        for operator in operators:
            operator.join(LIMIT_S)
    monkeypatch.undo()
    with pytest.raises(ControlError, match="the fleet is being restarted"):
        client.post("/v1/reconcile")


def test_the_control_socket_comes_back_after_a_crash(control: World) -> None:
    client = ControlClient(socket_of(control))
    before = control.system.directory.ref("control")
    client.post("/v1/debug/crash/control")

    def is_back() -> bool:
        with contextlib.suppress(ControlError):
            is_another = control.system.directory.ref("control") not in (None, before)
            return is_another and bool(client.get("/v1/version"))
        return False

    eventually(is_back)
    assert stat.S_IMODE(socket_of(control).stat().st_mode) == 0o660


def test_a_refusal_says_why(control: World) -> None:
    with pytest.raises(ControlError, match="the fleet is being restarted"):
        ControlClient(socket_of(control)).post("/v1/reconcile")
    with pytest.raises(ControlError, match="the daemon refuses GET /v1/nothing: not found"):
        ControlClient(socket_of(control)).get("/v1/nothing")


def test_a_daemon_that_answers_nothing_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "control.sock"
    monkeypatch.setattr("supervisor.cli.client._TIMEOUT_S", 0.2)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(path))
        silent.listen()
        begun = time.monotonic()
        with pytest.raises(ControlError, match="does not answer"):
            ControlClient(path).get("/v1/status")
        assert time.monotonic() - begun < 30


def test_the_limit_on_connections_leaves_descriptors_for_the_rest() -> None:
    assert BOUNDS.connections <= 512
