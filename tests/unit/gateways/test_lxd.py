"""What of the LXD gateway needs no LXD: words, times, names, sockets, and answers of others."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import socket
import struct
import threading
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.causes import Cause, cause_of
from supervisor.gateways.lxd import (
    AlreadyExists,
    LifecycleEvent,
    Lxd,
    LxdEndpoint,
    LxdError,
    LxdUnavailable,
    NotFound,
    OperationFailed,
    Refused,
    Stopping,
)
from supervisor.gateways.lxd import _connection as connection
from supervisor.gateways.lxd._errors import of_operation, redacted, unreachable
from supervisor.gateways.lxd._moments import moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


# Each of these was met: the words are LXD 5.0.2's.
@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (
            'Add instance info to the database: This "instances" entry already exists',
            AlreadyExists,
        ),
        ("Failed loading project: Project not found", NotFound),
        ('Requested profile "zz" doesn\'t exist', NotFound),
        ("Unknown configuration key: zzz", Refused),
        ("Invalid value: lots", Refused),
        ("The instance is already stopped", Refused),
        ("Only empty projects can be removed", Refused),
        (
            'Requested image\'s type "container" doesn\'t match instance type "virtual-machine"',
            Refused,
        ),
        (
            'Failed to create operation: Instance is busy running a "create" operation',
            OperationFailed,
        ),
        (
            'Failed to create operation: Instance is busy running a "stop" operation',
            Stopping,
        ),
        ("Failed to run: forkstart one: exit status 1", OperationFailed),
        ("", OperationFailed),
    ],
)
def test_an_operations_words_tell_what_happened(words: str, kind: type[LxdError]) -> None:
    error = of_operation(words, "do it", ())

    assert type(error) is kind
    assert str(error) == f"could not do it: LXD says: {words or 'nothing'}"


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        # LXD 5.0.2's, met there: lxd/project/project.go, lxd/network/network_load.go,
        # lxd/db/storage_pools.go, lxd/instance/instance_utils.go; the last but one is of 5.21.
        ("Failed loading project: Project not found", Cause.LXD_INCOMPLETE),
        ("Network not found", Cause.LXD_INCOMPLETE),
        ('Failed to load network "br": Network not found', Cause.LXD_INCOMPLETE),
        ("Failed loading storage pool: Storage pool not found", Cause.LXD_INCOMPLETE),
        ('Requested profile "runners" doesn\'t exist', Cause.LXD_INCOMPLETE),
        ('Requested profile "runners" doesn\'t exist in project "x"', Cause.LXD_INCOMPLETE),
        ('in project "x" on network "br": Instance not found', Cause.LXD_FAILED),
        # lxd/instances_post.go, lxd/db/images.go
        ("Image not provided for instance creation", Cause.IMAGE_MISSING),
        ("Image alias not found", Cause.IMAGE_MISSING),
        ("Image not found", Cause.IMAGE_MISSING),
        # What it runs, such as tar, zfs and mkfs.btrfs, says it in its own way.
        ("write /x: no space left on device", Cause.NO_SPACE),
        ("cannot create 'pool/x': out of space", Cause.NO_SPACE),
        ("Failed to run: forkstart one: exit status 1", Cause.LXD_FAILED),
        ("", Cause.LXD_FAILED),
    ],
)
def test_an_operations_words_tell_the_cause(words: str, cause: Cause) -> None:
    assert of_operation(words, "do it", ()).cause is cause
    assert of_operation(f"Failed creating instance: {words}", "do it", ()).cause is cause


def test_an_lxd_that_can_not_be_reached_is_a_cause_of_its_own() -> None:
    error = unreachable(TimeoutError(), "do it", "/unix.socket", 5)
    assert cause_of(error) is Cause.LXD_UNAVAILABLE


_HEX = "0123456789abcdef"


@given(st.text(_HEX, min_size=8, max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_no_secret_is_left_in_the_words(secret: str, before: str, after: str) -> None:
    assert secret not in redacted(f"{before}{secret}{after}", [secret])


def test_each_line_of_a_secret_is_withheld_and_common_short_ones_are_not() -> None:
    secret = "#!/bin/sh\nTOKEN=ghs_12345\nfi\n"

    assert redacted("line 2: TOKEN=ghs_12345: failing", [secret]) == "line 2: [withheld]: failing"


@given(
    st.datetimes(),
    st.integers(0, 999),
    st.integers(-12 * 60, 14 * 60),
)
def test_a_time_is_read_with_nanoseconds_and_any_zone(
    naive: datetime, nanoseconds: int, minutes: int
) -> None:
    zone = timezone(timedelta(minutes=minutes))
    expected = naive.replace(tzinfo=zone)
    sign, ahead = ("-", -minutes) if minutes < 0 else ("+", minutes)
    text = f"{naive:%H:%M:%S}.{naive.microsecond:06}{nanoseconds:03}".rstrip("0").rstrip(".")
    written = f"{naive.date().isoformat()}T{text}{sign}{ahead // 60:02}:{ahead % 60:02}"

    assert moment(written) == expected
    if not minutes:
        assert moment(f"{written[:-6]}Z") == expected


@pytest.mark.parametrize("text", ["", "today", "2026-11-23", "2026-11-23T10:00:00"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(text))):
        moment(text)


def test_the_socket_is_found_as_lxc_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snap = tmp_path / "snap"
    monkeypatch.setattr(connection, "_SNAP", snap)
    monkeypatch.delenv("LXD_SOCKET", raising=False)
    monkeypatch.delenv("LXD_DIR", raising=False)

    assert LxdEndpoint().find_socket() == Path("/var/lib/lxd/unix.socket")
    snap.touch()
    assert LxdEndpoint().find_socket() == snap
    monkeypatch.setenv("LXD_DIR", "/somewhere")
    assert LxdEndpoint().find_socket() == Path("/somewhere/unix.socket")
    monkeypatch.setenv("LXD_SOCKET", "/elsewhere.socket")
    assert LxdEndpoint().find_socket() == Path("/elsewhere.socket")
    assert LxdEndpoint(Path("/configured")).find_socket() == Path("/configured")


class _Impostor:
    """Something that listens on a unix socket and answers as it was told to."""

    def __init__(self, path: Path, answer: Callable[[bytes], bytes | Iterator[bytes]]) -> None:
        self.path = path
        self._answer = answer
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            with peer:
                received = b""
                while b"\r\n\r\n" not in received:
                    received += peer.recv(4096)
                answer = self._answer(received)
                with contextlib.suppress(OSError):  # who asked may have gone
                    for piece in [answer] if isinstance(answer, bytes) else answer:
                        peer.sendall(piece)
                    peer.shutdown(socket.SHUT_WR)
                    # It may still have something to say, such as the answer to a ping.
                    peer.settimeout(2)
                    while peer.recv(4096):
                        pass


@pytest.fixture
def impostor(tmp_path: Path) -> Iterator[Callable[..., Lxd]]:
    made: list[_Impostor] = []

    def make(answer: Callable[[bytes], bytes | Iterator[bytes]]) -> Lxd:
        made.append(_Impostor(tmp_path / f"{len(made)}.socket", answer))
        return Lxd(LxdEndpoint(made[-1].path, timeout_s=5))

    yield make
    for one in made:
        one.close()


def _http(status: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _lxd(received: bytes, answers: dict[str, Any], status: str = "200 OK") -> bytes:
    """Answer the connection as LXD does, and one path as told."""
    path = received.split()[1].decode().partition("?")[0]
    if path in answers:
        return _http(status, json.dumps(answers[path]).encode())
    info = {"api_extensions": [], "auth": "trusted", "environment": {}}
    return _http("200 OK", json.dumps({"type": "sync", "metadata": info}).encode())


@pytest.mark.parametrize("body", [b"<html>a web server</html>", b"[]", b'{"type": "sync"}', b"7"])
def test_what_is_not_lxd_is_told(impostor: Callable[..., Lxd], body: bytes) -> None:
    lxd = impostor(lambda _received: _http("200 OK", body))

    with pytest.raises(LxdError, match="could not list the instances"):
        lxd.instances()


def test_a_lxd_that_is_not_ready_yet_is_unavailable(impostor: Callable[..., Lxd]) -> None:
    body = {"type": "error", "error": "LXD daemon not ready yet", "error_code": 503}
    answers = {"/1.0/instances": body}
    lxd = impostor(lambda received: _lxd(received, answers, "503 Service Unavailable"))

    with pytest.raises(LxdUnavailable, match="LXD daemon not ready yet"):
        lxd.instances()


def test_a_lxd_that_denies_access_refuses(impostor: Callable[..., Lxd]) -> None:
    answers = {"/1.0/instances": {"type": "error", "error": "not authorized", "error_code": 403}}
    lxd = impostor(lambda received: _lxd(received, answers, "403 Forbidden"))

    with pytest.raises(Refused, match="could not list the instances: LXD says: not authorized"):
        lxd.instances()


@pytest.mark.parametrize("entry", [{}, {"name": "one"}, None, {"created_at": "never"}])
def test_an_instance_in_an_unknown_shape_is_an_error_and_no_crash(
    impostor: Callable[..., Lxd], entry: Any
) -> None:
    answers = {"/1.0/instances": {"type": "sync", "metadata": [entry]}}
    lxd = impostor(lambda received: _lxd(received, answers))

    with pytest.raises(LxdError, match="describes an instance in an unknown way"):
        lxd.instances()


@pytest.mark.parametrize("metadata", [None, {}, 7, "an alias", {"target": 7}])
def test_an_alias_in_an_unknown_shape_is_an_error_and_no_crash(
    impostor: Callable[..., Lxd], metadata: Any
) -> None:
    answers = {"/1.0/images/aliases/noble": {"type": "sync", "metadata": metadata}}
    lxd = impostor(lambda received: _lxd(received, answers))

    with pytest.raises(LxdError, match="could not find image noble: LXD describes it in an"):
        lxd.image("noble")


@pytest.mark.parametrize("metadata", [None, 7, [{}], [7]])
def test_images_in_an_unknown_shape_are_an_error_and_no_crash(
    impostor: Callable[..., Lxd], metadata: Any
) -> None:
    answers = {"/1.0/images": {"type": "sync", "metadata": metadata}}
    lxd = impostor(lambda received: _lxd(received, answers))

    for call in (lxd.images, lxd.stored_images):
        with pytest.raises(LxdError, match="could not list the images: LXD describes"):
            call()


@pytest.mark.parametrize("metadata", [None, {}, 7, "instances", {"config": 7}])
def test_a_list_or_network_in_an_unknown_shape_is_an_error_and_no_crash(
    impostor: Callable[..., Lxd], metadata: Any
) -> None:
    body = {"type": "sync", "metadata": metadata}
    answers = {"/1.0/instances": body, "/1.0/networks/lxdbr0": body}
    lxd = impostor(lambda received: _lxd(received, answers))

    with pytest.raises(LxdError, match="could not list the instances"):
        lxd.instances()
    with pytest.raises(LxdError, match="could not find the host's address on network lxdbr0"):
        lxd.bridge_address("lxdbr0")


def test_a_pool_that_nobody_has_used_yet_is_empty(impostor: Callable[..., Lxd]) -> None:
    space = {"type": "sync", "metadata": {"space": {"total": 4096}, "inodes": {"total": 9}}}
    lxd = impostor(lambda got: _lxd(got, {"/1.0/storage-pools/new/resources": space}))

    assert lxd.pool_space("new") == (0, 4096)


@pytest.mark.parametrize("metadata", [None, {}, {"space": 7}, {"space": {"total": None}}])
def test_a_pools_space_in_an_unknown_shape_is_an_error_and_no_crash(
    impostor: Callable[..., Lxd], metadata: Any
) -> None:
    answers = {"/1.0/storage-pools/new/resources": {"type": "sync", "metadata": metadata}}
    lxd = impostor(lambda received: _lxd(received, answers))

    with pytest.raises(LxdError, match="could not ask how full storage pool new is"):
        lxd.pool_space("new")


@pytest.mark.parametrize("operation", [7, None, {}])
def test_an_operation_without_a_name_is_not_lxds(
    impostor: Callable[..., Lxd], operation: Any
) -> None:
    answers = {"/1.0/instances": {"type": "async", "metadata": {"id": operation}}}
    lxd = impostor(lambda received: _lxd(received, answers, "202 Accepted"))

    with pytest.raises(LxdUnavailable, match="isn't LXD"):
        lxd.create({"name": "one"}, limit_s=1)


def test_a_connection_that_breaks_in_the_middle_is_told(impostor: Callable[..., Lxd]) -> None:
    lxd = impostor(lambda _received: b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")

    with pytest.raises(LxdUnavailable, match="the connection broke"):
        lxd.instances()


def _dripping(received: bytes, pauses: Sequence[float]) -> Iterator[bytes]:
    """Answer the connection as LXD does, and with a console that comes in drops."""
    if b"/console" not in received:
        yield _lxd(received, {})
        return
    yield f"HTTP/1.1 200 OK\r\nContent-Length: {2 * len(pauses)}\r\n\r\n".encode()
    for pause_s in pauses:
        yield b"x\n"
        threading.Event().wait(pause_s)


def test_a_console_that_comes_in_drops_is_read_to_its_end(impostor: Callable[..., Lxd]) -> None:
    lxd = impostor(lambda received: _dripping(received, [0.01] * 20))

    assert lxd.console_log("one", most_bytes=8, limit_s=5) == "x\n" * 4


@pytest.mark.parametrize("pauses", [[0.01] * 300, [0.4] * 6, [0.7, 2, 0]])
def test_a_console_that_drips_is_given_up_when_the_time_for_all_of_it_is_over(
    impostor: Callable[..., Lxd], pauses: list[float]
) -> None:
    lxd = impostor(lambda received: _dripping(received, pauses))

    began = time.monotonic()
    with pytest.raises(LxdUnavailable, match=r"could not read the console .* within 1 s"):
        lxd.console_log("one", limit_s=1)
    assert 0.9 <= time.monotonic() - began < 2.2


def _frame(opcode: int, payload: bytes) -> bytes:
    """Build a websocket frame as a server sends it (RFC 6455, section 5.2)."""
    if len(payload) < 126:
        return struct.pack("!BB", 0x80 | opcode, len(payload)) + payload
    return struct.pack("!BBH", 0x80 | opcode, 126, len(payload)) + payload


def _upgrade(received: bytes) -> bytes:
    key = re.search(rb"Sec-WebSocket-Key: (\S+)", received, re.IGNORECASE)
    assert key is not None
    magic = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    accept = base64.b64encode(hashlib.sha1(key[1] + magic).digest()).decode()  # noqa: S324 - RFC 6455
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\n\r\n"
    ).encode()


def _event(action: str, **more: Any) -> bytes:
    body = {
        "type": "lifecycle",
        "timestamp": "2026-11-23T10:00:00.123456789Z",
        "project": "runners",
        "metadata": {"action": action, "source": "/1.0/instances/one?project=runners"},
        **more,
    }
    return json.dumps(body).encode()


@pytest.fixture
def streaming(impostor: Callable[..., Lxd]) -> Callable[[bytes], Lxd]:
    """Make a LXD that sends these frames in one piece with its answer to the handshake."""

    def make(frames: bytes) -> Lxd:
        def answer(received: bytes) -> bytes:
            upgrades = b"/1.0/events" in received
            return _upgrade(received) + frames if upgrades else _lxd(received, {})

        return impostor(answer)

    return make


def test_events_that_come_in_one_piece_with_the_handshake_are_all_heard(
    streaming: Callable[[bytes], Lxd],
) -> None:
    pings = _frame(9, b"keepalive")
    actions = [f"instance-{number}" for number in range(5)]
    stream = streaming(pings + b"".join(_frame(1, _event(one)) for one in actions)).events()

    at = datetime(2026, 11, 23, 10, 0, 0, 123456, tzinfo=timezone.utc)
    heard = [next(stream) for _ in actions]
    assert heard == [LifecycleEvent(action, "one", "runners", at) for action in actions]
    with pytest.raises(LxdUnavailable, match="ended"):
        next(stream)


def test_what_is_no_lifecycle_event_is_passed_over(streaming: Callable[[bytes], Lxd]) -> None:
    strange = [b"[]", b"{}", b"no json", b'{"type": "logging"}', b'{"type": "lifecycle"}']
    broken = [_event("x", timestamp="never"), _event("x", metadata=None)]
    frames = b"".join(_frame(1, one) for one in [*strange, *broken, _event("instance-started")])

    with streaming(frames).events() as stream:
        assert next(stream).action == "instance-started"


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("/1.0/instances/one", "one"),
        ("/1.0/instances/one?project=p", "one"),
        ("/1.0/instances/one/snapshots/two", "one"),
        ("/1.0/instances/a%20b", "a b"),
        ("/1.0/profiles/runner?project=p", "runner"),
        ("/1.0/operations/1234", "1234"),
    ],
)
def test_an_event_bears_the_name_of_what_it_is_about(
    streaming: Callable[[bytes], Lxd], source: str, name: str
) -> None:
    event = _event("x", metadata={"action": "x", "source": source})

    with streaming(_frame(1, event)).events() as stream:
        assert next(stream).name == name


@pytest.mark.parametrize("frames", [b"\xff\xff\xff", _frame(8, b"\x03\xe9bye"), _frame(1, b"\xff")])
def test_a_stream_that_breaks_or_is_closed_ends_with_an_error(
    streaming: Callable[[bytes], Lxd], frames: bytes
) -> None:
    with pytest.raises(LxdUnavailable, match="ended"):
        list(streaming(frames).events())


def test_a_handshake_that_is_refused_is_told(impostor: Callable[..., Lxd]) -> None:
    lxd = impostor(lambda received: _lxd(received, {"/1.0/events": {}}, "403 Forbidden"))

    with pytest.raises(LxdUnavailable, match=r"could not listen to the events.*403"):
        lxd.events()


def _network(**described: Any) -> dict[str, Any]:
    usual = {"type": "bridge", "managed": True, "config": {}}
    answer = {"type": "sync", "metadata": {**usual, **described}}
    return {"/1.0/networks/lxdbr0": answer}


def test_a_bridge_has_all_addresses_that_lxd_gives_it(impostor: Callable[..., Lxd]) -> None:
    config = {"ipv4.address": "10.9.0.1/24", "ipv6.address": "fd42::1/64", "ipv4.nat": "true"}
    lxd = impostor(lambda received: _lxd(received, _network(config=config)))
    assert [str(one) for one in lxd.bridge_addresses("lxdbr0")] == ["10.9.0.1/24", "fd42::1/64"]


def test_an_address_that_is_none_is_left_out(impostor: Callable[..., Lxd]) -> None:
    config = {"ipv4.address": "10.9.0.1/24", "ipv6.address": "none"}
    lxd = impostor(lambda received: _lxd(received, _network(config=config)))
    assert [str(one) for one in lxd.bridge_addresses("lxdbr0")] == ["10.9.0.1/24"]


@pytest.mark.parametrize(
    "described",
    [{"managed": False}, {"type": "ovn"}, {"type": "physical"}, {"type": "macvlan"}],
)
def test_a_network_that_is_no_bridge_of_lxds_is_refused_with_what_to_do(
    impostor: Callable[..., Lxd], described: dict[str, Any]
) -> None:
    lxd = impostor(lambda received: _lxd(received, _network(**described)))
    with pytest.raises(Refused, match=r"no bridge that LXD manages; name one as lxd.network"):
        lxd.bridge_addresses("lxdbr0")


def test_a_bridge_without_any_address_is_refused(impostor: Callable[..., Lxd]) -> None:
    none = {"ipv4.address": "none", "ipv6.address": "none"}
    lxd = impostor(lambda received: _lxd(received, _network(config=none)))
    with pytest.raises(Refused, match="it has none; set one"):
        lxd.bridge_addresses("lxdbr0")


@pytest.mark.parametrize("described", [{"config": {"ipv4.address": "x"}}, {"config": 7}])
def test_a_bridge_in_an_unknown_shape_is_an_error_and_no_crash(
    impostor: Callable[..., Lxd], described: dict[str, Any]
) -> None:
    lxd = impostor(lambda received: _lxd(received, _network(**described)))
    with pytest.raises(LxdError, match="could not find the addresses of network lxdbr0"):
        lxd.bridge_addresses("lxdbr0")
