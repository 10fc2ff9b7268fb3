"""Guests that flood, dawdle, forge and talk nonsense, on real sockets.

What must be read is sent from the host's own address, which is not bounded as guests' are; what
must be bounded comes from addresses of its own, as guests' connections do.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from fake_world import World
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from ports import free_port
from signal_service import LIFETIME_S, NAME, OTHER, Service, request
from waiting import eventually

from supervisor import lifecycle
from supervisor.actors import signals as signals_actor
from supervisor.actors.signals import BOUNDS, SIGNALS
from supervisor.guest.signals import MAX_BYTES
from supervisor.messages.runner import Happened
from supervisor.supervision import Crash

MakeWorld = Callable[..., World]

GUEST, SECOND_GUEST = "127.0.0.2", "127.0.0.3"
READY = Happened(lifecycle.GuestReady())
DOCUMENTED = {204, 400, 401, 404, 405, 413, 429, 431, 501, 503}
SOON_S = LIFETIME_S / 2
"""Who waits for those that dawdle waits twice as long: until they are cut off."""

ENDPOINT = f"/v1/runners/{NAME}/signals".encode()
OTHERS = f"/v1/runners/{OTHER}/signals".encode()
RIGHT = b"Authorization: Bearer right"


def status_of(answer: bytes) -> int:
    """Return the status of a whole answer, 0 of none."""
    head = answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    return int(head.split(b" ", 2)[1]) if head else 0


def at_once(service: Service, source: str) -> int:
    """Report for the other runner, from another address, and see that it is answered soon."""
    began = time.monotonic()
    status = service.signal(token="other", name=OTHER, source=source)
    assert time.monotonic() - began < SOON_S
    return status


def ask(service: Service, *pieces: bytes, limit_s: float = 10) -> bytes:
    """Send bytes and give what is answered, as far as it comes in time."""
    with service.connect() as sock:
        with suppress(OSError):
            for piece in pieces:
                sock.sendall(piece)
        sock.settimeout(limit_s)
        return service.rest(sock)


# What is said, and by whom.


@pytest.mark.parametrize(
    ("status", "sent"),
    [
        (204, request()),
        (204, request(line=b"POST http://elsewhere.example" + ENDPOINT + b" HTTP/1.1")),
        (204, request(line=b"POST " + ENDPOINT + b"?name=" + OTHER.encode() + b" HTTP/1.0")),
        (204, request(headers=[RIGHT, b"Host: \xff a[::"])),
        (204, request(headers=[RIGHT, b"X-Forwarded-For: 10.0.0.1", b"X-HTTP-Method: DELETE"])),
        (204, request(b"signal=ready\n" + b"a=\n" * 1300)),
        # Others' runners, and names that are none.
        (401, request(line=b"POST " + OTHERS + b" HTTP/1.1")),
        (401, request(line=b"POST http://x" + OTHERS + b" HTTP/1.1")),
        (401, request(line=b"POST /v1/runners/.%2e/signals HTTP/1.1")),
        (401, request(line=b"POST /v1/runners/%00/signals HTTP/1.1")),
        (401, request(line=b"POST /v1/runners/" + NAME.encode() + b"%00/signals HTTP/1.1")),
        (404, request(line=b"POST /v1/runners/" + b"../" * 9 + b"signals HTTP/1.1")),
        (404, request(line=b"POST /v1/runners/x/../" + NAME.encode() + b"/signals HTTP/1.1")),
        (404, request(line=b"POST /v1/runners/x%2f..%2f" + NAME.encode() + b"/signals HTTP/1.1")),
        (404, request(line=b"POST /v1//runners/" + NAME.encode() + b"/signals HTTP/1.1")),
        (405, request(line=b"OPTIONS " + ENDPOINT + b" HTTP/1.1")),
        (405, request(line=b"POSTPOST " + ENDPOINT + b" HTTP/1.1")),
        # Tokens.
        (401, request(headers=[])),
        (401, request(headers=[b"Authorization:"])),
        (401, request(headers=[RIGHT, RIGHT])),
        (401, request(headers=[RIGHT, b"Authorization: Bearer other"])),
        (401, request(headers=[b"Authorization: bearer right"])),
        (401, request(headers=[b"Authorization: Bearer  right"])),
        (401, request(headers=[b"Authorization_: Bearer right"])),
        (400, request(headers=[b"Authorization: Bearer right\x00"])),
        (401, request(headers=[b"Authorization: Bearer " + b"x" * 3000])),
        (400, request(headers=[b"Authorization : Bearer right"])),
        (400, request(headers=[b"X: y\r\n z\n"])),
        # Bodies.
        (400, request(b"")),
        (400, request(b"\xff\xfe")),
        (400, request(b"\x00" * 100)),
        (400, request(b"a=\n" * 1300)),
        (400, request(b"signal\x00=ready")),
        (413, request(b"k=v\n" * 10_000)),
        (413, request(b"x" * MAX_BYTES)),
        # Lengths.
        (400, request(headers=[RIGHT, b"Content-Length: -1"], length=False)),
        (400, request(headers=[RIGHT, b"Content-Length: +5"], length=False)),
        (400, request(headers=[RIGHT, b"Content-Length: 0x5"], length=False)),
        (400, request(headers=[RIGHT, b"Content-Length: 5", b"Content-Length: 6"], length=False)),
        (413, request(headers=[RIGHT, b"Content-Length: " + b"9" * 3900], length=False)),
        # Chunks.
        (204, request(b"4\r\nsign\r\n8\r\nal=ready\r\n0\r\n\r\n",
                      headers=[RIGHT, b"Transfer-Encoding: chunked"], length=False)),
        (400, request(b"zz\r\n", headers=[RIGHT, b"Transfer-Encoding: chunked"], length=False)),
        (413, request(b"f" * 9000, headers=[RIGHT, b"Transfer-Encoding: chunked"], length=False)),
        (501, request(headers=[RIGHT, b"Transfer-Encoding: gzip"])),
        # Heads.
        (431, request(headers=[RIGHT, b"X: " + b"y" * MAX_BYTES])),
        (431, request(headers=[RIGHT, *[b"X: y"] * 10_000])),
        (405, b"\r\n\r\n\r\nGET " + ENDPOINT + b"\r\n\r\n"),
        (400, b"\x00\x01\x02\r\n\r\n"),
        (400, b"POST http://[::1/ HTTP/1.1\r\n\r\n"),
    ],
)  # fmt: skip
def test_each_request_gets_the_answer_that_is_documented(
    service: Service, status: int, sent: bytes
) -> None:
    answer = ask(service, sent)
    assert status_of(answer) == status, answer
    assert status in DOCUMENTED
    assert b"right" not in answer
    eventually(lambda: len(service.runner) == (status == 204))
    assert service.other == []


def test_a_runner_that_has_ended_is_not_heard_any_more(service: Service) -> None:
    assert service.signal() == 204
    eventually(lambda: service.runner == [READY])
    service.world.parts.roster.drop(NAME)
    for _ in range(5):
        assert status_of(ask(service, request())) == 401
    assert service.runner == [READY]


def test_after_a_start_whoever_is_not_known_yet_shall_say_it_again(service: Service) -> None:
    service.world.parts.roster.drop(NAME)
    assert status_of(ask(service, request())) == 401
    heard = len(service.fleet)
    service.world.tell("signals", Crash("a test"))
    eventually(lambda: len(service.fleet) > heard)  # it listens again
    assert status_of(ask(service, request())) == 503
    service.world.parts.roster.is_complete = True
    assert status_of(ask(service, request())) == 401


def test_only_the_first_request_of_a_connection_is_read(service: Service) -> None:
    answer = ask(service, request() + request(headers=[b"Authorization: Bearer other"]) * 3)
    assert answer.count(b"HTTP/1.") == 1
    answer = ask(service, request(), request(line=b"POST " + OTHERS + b" HTTP/1.1"))
    assert answer.count(b"HTTP/1.") == 1
    eventually(lambda: service.runner == [READY, READY])
    assert service.other == []


# Nonsense by the thousand.

_lines = st.builds(
    lambda method, path, version: b" ".join((method, path, version)),
    st.sampled_from([b"POST", b"GET", b"post", b"OPTIONS", b"CONNECT", b"PRI", b"\x00"]),
    st.sampled_from([ENDPOINT, OTHERS, b"*", b"/", b"//x", b"/v1/runners//signals", b"http://[::1/",
                     b"/%", b"/%zz", ENDPOINT + b"#x", ENDPOINT + b";x", b"\xc3\xa9", b"/static/x"])
    | st.binary(max_size=60),
    st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/0.9", b"HTTP/9.9", b"HTTP/2", b"", b"x"]),
)  # fmt: skip
_headers = st.lists(
    st.sampled_from(
        [RIGHT, b"Authorization: Bearer wrong", b"Authorization: Basic cmlnaHQ=", b"Host: a b",
         b"Host: x:99999999", b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked, chunked",
         b"Transfer-Encoding: \x0bchunked", b"Transfer-Encoding: identity", b"Content-Length: 3",
         b"Content-Length: 00000012", b"Content-Length:", b"Connection: keep-alive", b"Expect: x",
         b"Connection: upgrade, close", b"Upgrade: h2c", b"Expect: 100-continue", b" folded: x",
         b"Content-Type: multipart/form-data; boundary=", b"Cookie: a=\x00",
         b"Content-Encoding: gzip",
         b"Content-Type: application/x-www-form-urlencoded", b"no colon", b": no name", b"X-: \x7f"]
    )
    | st.binary(max_size=40),
    max_size=6,
)  # fmt: skip
_bodies = st.sampled_from(
    [b"signal=ready", b"", b"signal=failed\nreason=\x1b[2J", b"0\r\n\r\n",
     b"c\r\nsignal=ready\r\n0\r\n\r\n",
     b"1;x=y\r\nz\r\n0\r\nTrailer: x\r\n\r\n", b"-1\r\n\r\n", b"ffffffffffffffff\r\nx",
     b"\xf0\x9f\x92\xa3" * 900]
) | st.binary(max_size=300)  # fmt: skip
_written = st.builds(
    lambda line, headers, body, length: request(body, line=line, headers=headers, length=length),
    _lines, _headers, _bodies, st.booleans(),
)  # fmt: skip


@st.composite
def _spoilt(draw: st.DrawFn) -> bytes:
    """Take a right request, and change it here and there."""
    sent = bytearray(request())
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(sent)))
        end = draw(st.integers(at, min(len(sent), at + 20)))
        sent[at:end] = draw(st.binary(max_size=8) | st.just(bytes(sent[at:end] * 2)))
    return bytes(sent)


_attacks = st.tuples(
    st.one_of(
        _spoilt(),
        _written,
        st.lists(_written, min_size=2, max_size=4).map(b"".join),
        st.binary(max_size=6000),
    ),
    st.lists(st.integers(0, 400), max_size=3),
)


def test_no_nonsense_is_believed_or_hurts_anybody(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # as the daemon's log has it
    eventually(lambda: service.signal(token="other", name=OTHER) == 204)
    threads, memory = threading.active_count(), resident_mib()
    statuses: list[int] = []

    @settings(
        max_examples=800, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(_attacks)
    @example((request() * 200, []))
    @example((b"\r\n\r\n" * 2000, []))
    @example((b"GET / HTTP/1.1\r\n\r\n" * 400, [1]))
    def attack(given_: tuple[bytes, list[int]]) -> None:
        sent, cuts = given_
        places = [0, *sorted(cuts), len(sent)]
        # One that waits for more is not waited for.
        pieces = [sent[a:b] for a, b in pairwise(places)]
        answer = ask(service, *pieces, limit_s=0.03)
        status = status_of(answer)
        assert status in DOCUMENTED | {0}, answer
        assert b"Traceback" not in answer
        assert answer.count(b"HTTP/1.") <= 1 + answer.count(b" 100 Continue")
        assert at_once(service, "127.0.0.1") == 204
        statuses.append(status)
        service.world.clock.advance(2 / SIGNALS.per_s)

    attack()
    eventually(lambda: len(service.other) == len(statuses) + 1)
    assert service.other == [READY] * len(service.other)
    eventually(lambda: len(service.runner) >= statuses.count(204))
    # An answer may have come after it was waited for; one that refused was never a 204.
    assert len(service.runner) <= statuses.count(204) + statuses.count(0)
    assert all(isinstance(said, Happened) for said in service.runner)
    assert len(service.fleet) == 1
    assert threading.active_count() <= threads
    assert resident_mib() - memory < 64
    assert [record.getMessage() for record in caplog.records] == []
    assert not [line for line in service.world.logged if "Traceback" in line]


def resident_mib() -> float:
    (line,) = [
        line for line in Path("/proc/self/status").read_text().splitlines() if "VmRSS" in line
    ]
    return int(line.split()[1]) / 1024


# Floods.


def test_no_guest_has_more_connections_than_its_share(service: Service) -> None:
    with ExitStack() as stack:
        held = [stack.enter_context(service.connect(GUEST)) for _ in range(BOUNDS.share)]
        # It may be gone before it is so much as connected.
        with suppress(ConnectionResetError), service.connect(GUEST) as refused:
            refused.sendall(request())
            assert service.rest(refused) == b""
        assert service.runner == []
        assert at_once(service, SECOND_GUEST) == 204
        # It gets its answers where it has connections left.
        held.pop().sendall(request())
        eventually(lambda: service.runner == [READY])


def test_no_guest_makes_connections_faster_than_its_rate(service: Service) -> None:
    began, answered = time.monotonic(), 0
    for number in range(1000):
        with suppress(OSError):
            answered += service.signal(token=f"guess {number}", source=GUEST) == 401
        if number % 100 == 0:
            service.world.clock.advance(1 / SIGNALS.per_s)
            assert at_once(service, SECOND_GUEST) == 204
    most = BOUNDS.rate.burst + BOUNDS.rate.per_s * (time.monotonic() - began)
    assert BOUNDS.rate.burst <= answered <= most + 1
    assert service.runner == []


def test_a_request_that_drips_is_cut_off_however_busily(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signals_actor, "BOUNDS", replace(BOUNDS, lifetime_s=2.0))
    service = Service(make_world(signals={"port": free_port()}))
    with service.connect() as idle, service.connect() as dripping:
        deadline = time.monotonic() + 30
        dripping.settimeout(0.02)
        cut = False
        for byte in request(headers=[RIGHT, b"X: " + b"y" * 3000]):
            try:
                dripping.sendall(bytes([byte]))
                cut = dripping.recv(1) == b""
            except TimeoutError:
                assert time.monotonic() < deadline
            except OSError:
                cut = True
            if cut:
                break
        assert cut
        assert service.rest(idle) == b""
    assert service.runner == []
    assert service.signal() == 204


@pytest.mark.usefixtures("many_descriptors")
def test_where_all_connections_are_taken_the_oldest_that_asks_nothing_goes(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    before, held = descriptors(), BOUNDS.connections + 200
    with ExitStack() as stack:
        first = stack.enter_context(service.connect())
        for _ in range(held - 1):
            stack.enter_context(service.connect())
        assert descriptors() <= before + held + BOUNDS.connections
        assert service.signal(token="other", name=OTHER, source=GUEST) == 204
        assert service.rest(first) == b""
        assert descriptors() <= before + held + BOUNDS.connections
    assert caplog.records == []


@pytest.mark.usefixtures("many_descriptors")
def test_more_than_can_be_taken_in_at_once_wait_and_all_are_answered(
    make_world: MakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Time enough for a slow machine to connect them all.
    patient = replace(BOUNDS, connections=100, lifetime_s=60, patience_s=60)
    monkeypatch.setattr(signals_actor, "BOUNDS", patient)
    service = Service(make_world(signals={"port": free_port()}))
    with ExitStack() as stack:
        held = [stack.enter_context(service.connect()) for _ in range(300)]
        for sock in held:
            sock.sendall(request(headers=[b"Authorization: Bearer wrong"]))
        answers = [status_of(service.rest(sock)) for sock in held]
    assert answers == [401] * 300


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_while_two_flood_a_third_is_heard_at_once_and_the_actors_answer(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    over = threading.Event()
    statuses: list[int] = []

    def flood(token: str, source: str) -> None:
        while not over.is_set():
            with suppress(OSError):
                statuses.append(service.signal(token=token, source=source))

    # The host's own address is not bounded: the worst that the service can be asked to bear.
    flooders = [
        threading.Thread(target=flood, args=flooding)
        for flooding in (("right", "127.0.0.1"), ("wrong", "127.0.0.1"), ("wrong", GUEST))
    ]
    for thread in flooders:
        thread.start()
    try:
        for round_ in range(1, 21):
            assert at_once(service, SECOND_GUEST) == 204
            eventually(lambda heard=round_: len(service.other) == heard, limit_s=SOON_S)
            service.world.clock.advance(1 / SIGNALS.per_s)
            eventually(lambda: statuses)
            statuses_before = len(statuses)
            eventually(lambda before=statuses_before: len(statuses) > before + 20)
    finally:
        over.set()
        for thread in flooders:
            thread.join()
    assert set(statuses) == {204, 401, 429}
    # So many as it may, and not one more.
    assert statuses.count(204) <= SIGNALS.burst + 21
    eventually(lambda: len(service.runner) == statuses.count(204))
    assert caplog.records == []


def test_what_is_refused_ends_at_once_for_the_client(service: Service) -> None:
    with ExitStack() as stack:
        for _ in range(BOUNDS.share):
            stack.enter_context(service.connect(GUEST))
        began = time.monotonic()
        with suppress(ConnectionResetError), service.connect(GUEST) as refused:
            assert refused.recv(1) == b""
        assert time.monotonic() - began < SOON_S
