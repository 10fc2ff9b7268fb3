"""A daemon of one answer, for commands to ask."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from socketserver import UnixStreamServer
from typing import Any

import pytest

from tests.unit.cli.called import Serve, answering


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Give what answers like a daemon with one document, or a refusal.

    To an order, that is: what is shown where something else is asked may be another.
    """
    servers: list[UnixStreamServer] = []

    def start(document: Any, status: int = 200, shown: Any = None) -> Path:
        def answer(method: str, _path: str) -> Any:
            return document if method == "POST" or shown is None else shown

        path = tmp_path / "c.sock"
        servers.append(UnixStreamServer(str(path), answering(answer, status)))
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,), daemon=True).start()
        return path

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
