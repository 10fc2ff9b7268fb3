from __future__ import annotations

import base64
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import requests
from loguru import logger
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from otlp_receiver import Receiver, attributes, receiving
from ports import free_port
from waiting import eventually

from supervisor import __version__
from supervisor.gateways import collector as collectors
from supervisor.gateways.collector import Address, Collector
from supervisor.observation.spans import Span
from supervisor.observation.trace_standing import TraceStanding
from supervisor.web.proxies import Proxies, Proxy

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)
LIMIT = timedelta(seconds=20)
PASSWORD = "s3cr3t-w0rd"
ROOT = Span("runner", 7 << 90, 5, 0, NOW, NOW + timedelta(seconds=9), {"cicd.worker.name": "a"})
BOOT = Span(
    "boot", 7 << 90, 6, 5, NOW, NOW + timedelta(microseconds=1_500_001), {"x": 1}, "no signal"
)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture
def said() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lines.append, format="{message}")
    yield lines
    logger.remove(sink)


def collector(url: str, proxies: Proxies | None = None) -> Collector:
    return Collector(Address(url), proxies or Proxies(), "fleet", TraceStanding().begin())


def test_spans_arrive_as_they_are(receiver: Receiver) -> None:
    sending = collector(receiver.url)
    sending.send([BOOT, ROOT])
    sending.close(LIMIT)
    boot, root = receiver.spans
    assert (root.name, root.trace_id, root.span_id) == (
        "runner", (7 << 90).to_bytes(16, "big"), (5).to_bytes(8, "big"),
    )  # fmt: skip
    assert (root.parent_span_id, root.status.code) == (b"", Status.STATUS_CODE_UNSET)
    assert attributes(root.attributes) == {"cicd.worker.name": "a"}
    assert (boot.trace_id, boot.parent_span_id) == (root.trace_id, root.span_id)
    assert (boot.status.code, boot.status.message) == (Status.STATUS_CODE_ERROR, "no signal")
    assert boot.start_time_unix_nano == int(NOW.timestamp()) * 10**9
    assert boot.end_time_unix_nano - boot.start_time_unix_nano == 1_500_001_000
    assert {
        "service.name": "github-runner-supervisor",
        "service.version": __version__,
        "service.instance.id": "fleet",
    }.items() <= receiver.resource.items()


@pytest.mark.parametrize(
    ("added", "path"),
    [("", "/v1/traces"), ("/", "/v1/traces"), ("/otlp", "/otlp/v1/traces"),
     ("/v1/traces", "/v1/traces")],
)  # fmt: skip
def test_they_are_sent_below_the_configured_address(
    receiver: Receiver, added: str, path: str
) -> None:
    sending = collector(receiver.url + added)
    sending.send([ROOT])
    sending.close(LIMIT)
    assert receiver.requests[0][0] == path


def test_user_and_password_log_in_and_are_in_no_address(
    receiver: Receiver, said: list[str]
) -> None:
    url = f"http://me:{PASSWORD}%21@127.0.0.1:{receiver.port}"
    sending = collector(url)
    sending.send([ROOT])
    sending.close(LIMIT)
    login = base64.b64encode(f"me:{PASSWORD}!".encode()).decode()
    assert receiver.requests[0][1]["Authorization"] == f"Basic {login}"
    assert PASSWORD not in repr(Address(url))
    receiver.status = 401
    refused = collector(url)
    refused.send([ROOT])
    refused.close(LIMIT)
    (line,) = said
    assert line == (
        f"traces can't be sent to {receiver.url}/v1/traces, and are lost, which harms nothing "
        "else: it answers 401; is otel-collector-endpoint right?\n"
    )


def test_a_header_that_the_environment_names_is_sent(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=made-up")
    sending = collector(receiver.url)
    sending.send([ROOT])
    sending.close(LIMIT)
    assert receiver.requests[0][1]["x-api-key"] == "made-up"


def test_a_proxy_is_asked_and_nobody_but_it(receiver: Receiver) -> None:
    sending = collector(
        "http://collector.test:4318", Proxies(http=Proxy(f"http://127.0.0.1:{receiver.port}"))
    )
    sending.send([ROOT])
    sending.close(LIMIT)
    assert receiver.requests[0][0] == "http://collector.test:4318/v1/traces"


def test_what_no_proxy_names_is_asked_directly_whatever_the_environment_says(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("HTTP_PROXY", nowhere)
    sending = collector(receiver.url, Proxies(http=Proxy(nowhere), exceptions=("127.0.0.1",)))
    sending.send([ROOT])
    sending.close(LIMIT)
    assert len(receiver.spans) == 1


def test_a_collector_that_is_away_costs_one_warning(
    said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collectors, "_TIMEOUT_S", 2)  # for as long it is tried again
    port = free_port()
    sending = collector(f"http://127.0.0.1:{port}")
    for _ in range(3000):
        sending.send([ROOT])
    eventually(lambda: said)
    sending.close(timedelta(seconds=0.1))
    eventually(lambda: not [one for one in threading.enumerate() if "Otel" in one.name])
    (line,) = said
    assert line == (
        f"traces can't be sent to http://127.0.0.1:{port}/v1/traces, and are lost, which harms "
        "nothing else: Connection refused\n"
    )


def test_who_tries_again_and_again_gives_up_when_its_collector_is_left(
    said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collectors, "_TIMEOUT_S", 200)  # for as long it may be tried again
    tried = threading.Event()

    def refuse(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
        tried.set()

    with answering(refuse) as url:
        sending = collector(url)
        sending.send([ROOT] * 512)
        assert tried.wait(LIMIT.total_seconds())
        sending.close(timedelta(seconds=0.1))
        eventually(lambda: said, limit_s=10)  # its tries alone would go on for longer
    assert said == [f"{lost(url)}: it answers 503; is otel-collector-endpoint right?\n"]


def test_a_collector_that_hangs_keeps_one_thread_and_is_asked_again_when_that_is_over(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collectors, "_TIMEOUT_S", 1)
    standing, asked, goes_on = TraceStanding(), [], threading.Event()
    ask = requests.Session.request

    def hang(session: requests.Session, *given: Any, **options: Any) -> requests.Response:
        asked.append(threading.current_thread().name)
        goes_on.wait(LIMIT.total_seconds())
        return ask(session, *given, **options)

    monkeypatch.setattr(requests.Session, "request", hang)
    sending = Collector(Address(receiver.url), Proxies(), "fleet", standing.begin())
    for batches in (1, 2, 3):
        sending.send([ROOT] * 512)
        eventually(lambda batches=batches: standing.lost == batches * 512)
    assert asked == ["traces-exchange"]
    goes_on.set()

    def is_sent_again() -> bool:
        if not sending._exporter._waiting:
            sending.send([ROOT] * 512)
        return not standing.fault

    eventually(is_sent_again)
    sending.close(LIMIT)


def test_it_is_said_when_traces_are_sent_again(receiver: Receiver, said: list[str]) -> None:
    receiver.status = 400
    sending = collector(receiver.url)
    batch = [ROOT] * 512  # as many as are sent without a delay
    sending.send(batch)
    eventually(lambda: len(said) == 1)
    receiver.status = 200
    sending.send(batch)
    eventually(lambda: len(said) == 2)
    assert 0 < number_lost(receiver.url, said[1]) <= len(batch)
    sending.close(LIMIT)


def test_what_is_lost_is_told_and_that_all_is_sent_again(receiver: Receiver) -> None:
    standing = TraceStanding()
    receiver.status = 400
    sending = Collector(Address(receiver.url), Proxies(), "fleet", standing.begin())
    batch = [ROOT] * 512
    sending.send(batch)
    eventually(lambda: standing.fault)
    assert standing.fault == (
        f"{lost(receiver.url)}: it answers 400; is otel-collector-endpoint right?"
    )
    receiver.status = 200
    sending.send(batch)
    eventually(lambda: not standing.fault)
    sending.close(LIMIT)
    assert standing.lost + len(receiver.spans) == 2 * len(batch)
    assert 0 < standing.lost <= len(batch)


def test_what_still_waits_when_a_collector_is_left_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(collectors, "_TIMEOUT_S", 1)
    standing, left = TraceStanding(), threading.Event()
    with answering(lambda _: left.wait(30)) as url:
        sending = Collector(Address(url), Proxies(), "fleet", standing.begin())
        sending.send([ROOT] * 1500)
        sending.close(timedelta(seconds=0.1))
        standing.end()
        eventually(lambda: standing.lost == 1500)
        left.set()
    assert not standing.fault


def number_lost(url: str, line: str) -> int:
    """Read how many are lost: the exporter may have begun with a part of a batch.

    Then it has sent the rest when that went well again.
    """
    told = rf"traces are sent to {re.escape(url)}/v1/traces again; (\d+) spans are lost\n"
    found = re.fullmatch(told, line)
    assert found, line
    return int(found[1])


def lost(url: str) -> str:
    return f"traces can't be sent to {url}/v1/traces, and are lost, which harms nothing else"


Answer = Callable[[socket.socket], None]


@contextmanager
def answering(answer: Answer) -> Iterator[str]:
    """Give the address of what takes one batch after the other, and answers as it likes."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection, suppress(OSError):
                    connection.recv(1 << 20)
                    answer(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)
    thread.join(10)


@pytest.mark.parametrize("status", ["200 OK", "307 Temporary Redirect\r\nLocation: /login"])
def test_an_endless_answer_is_not_read(status: str, said: list[str]) -> None:
    hung_up = threading.Event()

    def flood(connection: socket.socket) -> None:
        connection.settimeout(30)
        connection.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {10**12}\r\n\r\n".encode())
        try:
            for _ in range(1000):  # more than the kernel holds for who does not read
                connection.sendall(b"x" * 65536)
        except ConnectionError:
            hung_up.set()

    with answering(flood) as url:
        sending = collector(url)
        sending.send([ROOT])
        sending.close(LIMIT)
        eventually(hung_up.is_set)
    assert len(said) == (0 if status == "200 OK" else 1)


def test_an_answer_that_drips_in_is_not_waited_for_and_once_it_ends_traces_are_sent_again(
    said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collectors, "_TIMEOUT_S", 1)
    ended = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while not ended.wait(0.1):
            connection.sendall(b"A: b\r\n")
        connection.sendall(b"Content-Length: 0\r\n\r\n")

    with answering(drip) as url:
        sending = collector(url)
        sending.send([ROOT] * 512)
        eventually(lambda: len(said) == 1)
        ended.set()

        def is_sent_again() -> bool:
            if not sending._exporter._waiting:  # one that took more than that second was lost, too
                sending.send([ROOT] * 512)
            return len(said) == 2

        eventually(is_sent_again, limit_s=LIMIT.total_seconds())
        sending.close(LIMIT)
    assert len(said) == 2
    assert said[0] == f"{lost(url)}: no answer within 1 s\n"
    assert number_lost(url, said[1]) > 0


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://me:secret@other.test:4318/v1/traces?key=secret",
         "https://other.test:4318/v1/traces"),
        ("//[", "no address"),
        ("http://other.test/" + "x" * 900, "http://other.test/" + "x" * 182),
    ],
)  # fmt: skip
def test_a_redirect_is_no_success_and_is_not_followed(
    location: str, shown: str, said: list[str]
) -> None:
    def redirect(connection: socket.socket) -> None:
        head = f"HTTP/1.1 307 Temporary Redirect\r\nLocation: {location}\r\n"
        connection.sendall(f"{head}Content-Length: 0\r\n\r\n".encode())

    with answering(redirect) as url:
        sending = collector(url)
        sending.send([ROOT])
        sending.close(LIMIT)
    assert said == [
        f"{lost(url)}: it redirects (307) to {shown}; is otel-collector-endpoint right?\n"
    ]


def test_no_span_waits_for_a_collector_and_those_without_room_are_counted_and_told_of_once(
    said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collectors, "_TIMEOUT_S", 40)  # longer than any of this takes
    asked, go_on = threading.Event(), threading.Event()

    def take_long(connection: socket.socket) -> None:
        asked.set()
        go_on.wait()
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with answering(take_long) as url:
        sending = collector(url)
        sending.send([ROOT] * 600)
        assert asked.wait(LIMIT.total_seconds())
        sending.send([ROOT] * 1500)
        go_on.set()
        eventually(lambda: len(said) == 2)
        sending.close(LIMIT)
    assert said == [
        f"{lost(url)}: it takes them too slowly, and 2,048 wait already\n",
        f"traces are sent to {url}/v1/traces again; 52 spans are lost\n",
    ]


def test_a_client_that_fails_takes_no_room_for_good_and_shows_no_secret(
    receiver: Receiver, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_given: object, **_options: object) -> None:
        raise ValueError(PASSWORD)

    sending = collector(receiver.url)
    with monkeypatch.context() as patched:
        patched.setattr(OTLPSpanExporter, "export", fail)
        sending.send([ROOT] * 2048)
        eventually(lambda: sending._exporter._waiting == 0)
    sending.send([ROOT])
    sending.close(LIMIT)
    assert len(receiver.spans) == 1
    assert said == [
        f"{lost(receiver.url)}: its client fails: ValueError\n",
        f"traces are sent to {receiver.url}/v1/traces again; 2048 spans are lost\n",
    ]
