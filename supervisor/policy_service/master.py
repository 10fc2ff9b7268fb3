"""gunicorn as a policy service runs under it: its options, and its first process."""

import os
from typing import Any

from gunicorn.arbiter import Arbiter
from gunicorn.config import Config

from supervisor.policy_service.worker import Worker

_LONGEST_LINE = 1024
_LONGEST_FIELD = 4096
_MOST_FIELDS = 50
_HUNG_S = 30
_LAST_WORDS_S = 25
"""Longer than a check takes: those under way are answered before a worker ends."""


def configure(config: Config, *, bind: str, workers: int, threads: int, preload: bool) -> None:
    """Set gunicorn's options: none of the environment's, and no file's.

    Args:
        config: gunicorn's.
        bind: `ADDRESS:PORT`, or `fd://NUMBER`.
        workers: processes.
        threads: of each: requests that are answered at a time.
        preload: whether the application is made before workers are forked.
    """
    options: dict[str, Any] = {
        "bind": bind,
        "workers": workers,
        "threads": threads,
        "worker_class": Worker,
        "preload_app": preload,
        "keepalive": 0,
        "umask": 0o077,
        "timeout": _HUNG_S,
        "graceful_timeout": _LAST_WORDS_S,
        "limit_request_line": _LONGEST_LINE,
        "limit_request_fields": _MOST_FIELDS,
        "limit_request_field_size": _LONGEST_FIELD,
        "control_socket_disable": True,
        "proc_name": "policy-service",
    }
    for name, value in options.items():
        config.set(name, value)


class Master(Arbiter):  # type: ignore[misc]
    """The master; it does not outlive who started it, as it would keep the address.

    Args:
        app: gunicorn's application.
        parent: the process that started it, without which it ends.
    """

    def __init__(self, app: Any, parent: int) -> None:
        self._parent = parent
        super().__init__(app)

    def murder_workers(self) -> None:
        """End workers that hang, as each second; and everything, if nobody wants it any more."""
        if os.getppid() != self._parent:
            self.log.warning("the process that started the service is gone")
            raise StopIteration  # as gunicorn ends itself: those under way are answered
        super().murder_workers()
