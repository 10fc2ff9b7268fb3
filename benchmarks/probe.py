"""A client of its own that asks a daemon for its tree, until its input is closed.

python benchmarks/probe.py CONTROL_SOCKET RESULT_FILE
"""

from __future__ import annotations

import json
import select
import sys
import time
from pathlib import Path

from supervisor.cli.client import ControlClient

_PAUSE_S = 0.5


def main(control_socket: str, result: str) -> None:
    """Ask twice a second; write each answer's time in milliseconds."""
    client = ControlClient(Path(control_socket))
    times_ms = []
    is_over = False
    while not is_over:
        began = time.perf_counter()
        client.get("/v1/tree")
        times_ms.append((time.perf_counter() - began) * 1e3)
        is_over = bool(select.select([sys.stdin], [], [], _PAUSE_S)[0])
    Path(result).write_text(json.dumps(times_ms))


if __name__ == "__main__":
    main(*sys.argv[1:])
