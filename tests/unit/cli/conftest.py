"""A daemon of one answer, for commands to ask."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import UnixStreamServer
from typing import Any

import pytest

from tests.unit.cli.called import Serve


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Give what answers like a daemon with one document, or a refusal.

    To an order, that is: what is shown where something else is asked may be another.
    """
    servers: list[UnixStreamServer] = []

    def start(document: Any, status: int = 200, shown: Any = None) -> Path:
        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(document if shown is None else shown)

            def do_POST(self) -> None:
                self._answer(document)

            def _answer(self, answer: Any) -> None:
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def address_string(self) -> str:
                return "unix"

            def log_message(self, *_: object) -> None:
                pass

        path = tmp_path / "c.sock"
        servers.append(UnixStreamServer(str(path), Answer))
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,), daemon=True).start()
        return path

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
