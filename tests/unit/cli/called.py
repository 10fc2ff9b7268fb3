"""Commands that are called as in a shell, with what a daemon could answer them."""

from __future__ import annotations

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from supervisor.cli import main

SINCE = "2020-01-01T00:00:00Z"
Serve = Callable[..., Path]


def answering(answer: Callable[[str, str], Any], status: int = 200) -> type[BaseHTTPRequestHandler]:
    """Make what answers requests on a unix socket, and writes no log.

    Args:
        answer: gives the document, by the method and what is asked for.
        status: of each answer.
    """

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(answer("GET", self.path))

        def do_POST(self) -> None:
            self._send(answer("POST", self.path))

        def _send(self, document: Any) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def address_string(self) -> str:
            return "unix"

        def log_message(self, *_: object) -> None:
            pass

    return Answer


def node(id_: str, *children: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "id": id_, "kind": "supervisor" if children else "worker", "state": "ready",
        "since": SINCE, "reason": "", "details": {}, "restarts": 0, "mailbox": 0, "unhandled": 0,
        "handling": None, "stuck": False, "waits_until": None, "abandoned": 0,
        "children": list(children), **more,
    }  # fmt: skip


def runner(name: str, reason: str = "", job: dict[str, str] | None = None) -> dict[str, Any]:
    return {"name": name, "stage": "busy", "since": SINCE, "reason": reason, "job": job}


STATUS = {
    "name": "fleet", "path": "acme", "wanted": 3, "present": 3, "stages": {"idle": 3},
    "draining_since": None,
    "github": {
        "url": "https://github.com",
        "credential": "App",
        "permissions": "admin:org",
        "expires_at": "2030-06-01T00:00:00+00:00",
        "renewed": False,
        "budget": {"core": {"limit": 5000, "remaining": 4812, "reset_at": "2030-01-01T12:34:56Z"}},
        "runners_per_hour": 2497,
    },
    "former_places": [],
    "problems": [],
    "warnings": [],
}  # fmt: skip


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])
