"""Obtains an application again and again, each time in a process that may be killed.

A line of standard input is the JSON of one try: `directory`, `offer`, and `step`, the file system's
event at which the process kills itself (0: none). Answered are its number and, when it has ended,
its exit code or the signal; its number stays its own until another line comes. Forked, not started:
the imports are made once.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from loguru import logger

from supervisor.gateways.application_store import ApplicationStore
from supervisor.upgrades.application import Application
from supervisor.web.proxies import Proxies
from supervisor.work.application import Obtained, Progress, obtain

_EVENTS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "shutil.rmtree")


def _kill_at(step: int, directory: str) -> None:
    seen = 0

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        if event in _EVENTS and directory in str(arguments):
            seen += 1
            if seen == step:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def main() -> None:
    logger.remove()
    while line := sys.stdin.readline():
        order = json.loads(line)
        pid = os.fork()
        if not pid:
            if order["step"]:
                _kill_at(order["step"], order["directory"])
            store = ApplicationStore(Path(order["directory"]))
            done = obtain(store, Application(**order["offer"]), Proxies(), Progress())
            os._exit(0 if isinstance(done, Obtained) else 1)
        print(pid, flush=True)  # noqa: T201 - it is the answer
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        print(ended.si_status if ended else "", flush=True)  # noqa: T201
        sys.stdin.readline()
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
