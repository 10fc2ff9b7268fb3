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
    """Give what answers like a daemon with one document, or a refusal."""
    servers: list[UnixStreamServer] = []

    def start(document: Any, status: int = 200) -> Path:
        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET  # noqa: N815 - http.server's way

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
