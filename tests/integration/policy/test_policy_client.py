"""What the daemon makes of the answers of a policy service, and of what is none."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from policy_fleet import HOST
from ports import free_port
from waiting import eventually

from supervisor.config import parse
from supervisor.gateways import policy_client
from supervisor.gateways.policy_client import PolicyClient, PolicyUnavailable
from supervisor.work import policy as policy_work

MINIMUM = {"name": "fleet", "path": "acme", "token": "secret"}


class Service(ThreadingHTTPServer):
    """Answers what it is told to."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__((HOST, 0), _Handler)
        self.status, self.body = 204, b""
        self.asked: list[tuple[str, str | None]] = []
        self.base = f"http://{HOST}:{self.server_port}"
        self.issues = 0


class _Handler(BaseHTTPRequestHandler):
    server: Service

    def do_GET(self) -> None:
        service = self.server
        service.asked.append((self.path, self.headers["Authorization"]))
        status, body = service.status, service.body
        if service.issues and self.path == "/one-time-token":
            service.issues -= 1
            status, body = 200, b"token-%d" % service.issues
        self.send_response(status)
        self.send_header("Location", "http://127.0.0.1:1/")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as made:
        threading.Thread(target=made.serve_forever, args=(0.05,), daemon=True).start()
        yield made
        made.shutdown()


@pytest.mark.parametrize(("status", "takes"), [(204, True), (401, False), (403, False)])
def test_a_token_is_taken_or_not(service: Service, status: int, takes: bool) -> None:
    service.status = status
    with PolicyClient(service.base) as client:
        assert client.takes("a-token") is takes
    assert service.asked == [("/auth-health", "Bearer a-token")]


@pytest.mark.parametrize("status", [200, 302, 404, 500])
def test_what_answers_otherwise_is_no_such_service(service: Service, status: int) -> None:
    service.status, service.body = status, b"<html>\n\x1b[2J" + b"x" * 5000
    with PolicyClient(service.base) as client, pytest.raises(PolicyUnavailable) as caught:
        client.takes("a-token")
    said = str(caught.value)
    assert said.startswith(f"it answers {status}: <html> [2Jxxx")
    assert len(said) < 1100
    assert said.isprintable()
    assert len(service.asked) == 1  # no redirection is followed


def test_its_trouble_is_told_in_its_words(service: Service) -> None:
    with PolicyClient(service.base) as client:
        assert client.trouble() == ""
        service.status, service.body = 500, b"GitHub answers 502"
        assert client.trouble() == "GitHub answers 502"
        service.body = b""
        assert client.trouble() == "it answers 500"


def test_a_token_is_issued_for_whoever_runs_it(service: Service) -> None:
    service.status, service.body = 200, b"one-time"
    with PolicyClient(service.base) as client:
        assert client.one_time_token("charm") == "one-time"
    assert service.asked == [("/one-time-token", "Bearer charm")]


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, b"Unauthorized Access", "it refuses the token of policy.token (401)"),
        (403, b"Unauthorized Access", "it refuses the token of policy.token (403)"),
        (500, b"", "it issues no token: it answers 500"),
        (200, b"two words", "it issues no token: it answers 200"),
        (200, b"", "it issues no token: it answers 200"),
    ],
)
def test_what_is_no_token_is_not_taken_for_one(
    service: Service, status: int, body: bytes, said: str
) -> None:
    service.status, service.body = status, body
    with PolicyClient(service.base) as client, pytest.raises(PolicyUnavailable) as caught:
        client.one_time_token("charm")
    assert str(caught.value) == said


def test_nobody_there_and_a_hung_one_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        PolicyClient(f"http://{HOST}:{free_port()}") as client,
        pytest.raises(PolicyUnavailable, match="refused"),
    ):
        client.trouble()
    monkeypatch.setattr(policy_client, "_QUICK_S", 1)
    with (
        socket.create_server((HOST, 0)) as silent,
        PolicyClient(f"http://{HOST}:{silent.getsockname()[1]}") as client,
        pytest.raises(PolicyUnavailable, match="no answer within 1 s"),
    ):
        client.takes("a-token")


def test_no_proxy_of_the_environment_is_asked(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://{HOST}:{free_port()}")
    with PolicyClient(service.base) as client:
        assert client.trouble() == ""


def test_tokens_are_had_in_advance_as_long_as_they_are_issued(service: Service) -> None:
    config = parse(
        {**MINIMUM, "policy": {"mode": "external", "url": service.base, "token": "charm"}}, "x"
    )
    service.issues = 5
    found = policy_work.examine_external(config, 3, 7)
    assert (found.ticket, found.fault, found.trouble) == (7, "", "")
    assert len(set(found.tokens)) == 3
    service.issues = 1
    found = policy_work.examine_external(config, 3, 8)
    assert found.tokens == ("token-0",)
    assert found.fault == "it issues no token: it answers 204"
    service.status, service.body = 500, b"GitHub answers 502"
    found = policy_work.examine_external(config, 3, 9)
    assert (found.tokens, found.trouble) == ((), "GitHub answers 502")
    eventually(lambda: {asked for _, asked in service.asked} <= {"Bearer charm", None})
