"""The service under gunicorn: one master, which reads the settings, and several workers."""

import os
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter

from supervisor.policy_service.app import make_app
from supervisor.policy_service.asking import GitHub
from supervisor.policy_service.decisions import DecisionLog
from supervisor.policy_service.judge import Judge
from supervisor.policy_service.settings import Settings
from supervisor.policy_service.state import State
from supervisor.policy_service.worker import Worker

_LONGEST_LINE = 1024
_LONGEST_FIELD = 4096
_MOST_FIELDS = 50
_HUNG_S = 30
_LAST_WORDS_S = 25
"""Longer than a check takes: those under way are answered before a worker ends."""


class Service(BaseApplication):  # type: ignore[misc]
    """The application, as gunicorn wants to have it.

    Args:
        settings: all that it is told.
        bind: `ADDRESS:PORT`.
        workers: processes.
        threads: of each: requests that are answered at a time.
        check_s: seconds that one check may take.
        parent: the process that started it, without which it ends.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        bind: str,
        workers: int,
        threads: int,
        check_s: float,
        parent: int,
    ) -> None:
        self._settings = settings
        self._parent = parent
        self._check_s = check_s
        self._options: dict[str, Any] = {
            "bind": bind,
            "workers": workers,
            "threads": threads,
            "worker_class": Worker,
            "preload_app": True,
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
        super().__init__()

    def load_config(self) -> None:
        """Take the options as they are: none of the environment's, and no file's."""
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Make the web service, in the master, before it forks."""
        settings = self._settings
        state = State(settings.state_directory)
        log = DecisionLog(settings.decisions)
        judge = Judge(GitHub(settings), state, log, self._check_s, settings.scope)
        return make_app(settings, state, judge)

    def run(self) -> None:
        """Serve until a signal ends it, or the process that started it is gone.

        Raises:
            OSError: the directory can't be used.
        """
        State(self._settings.state_directory).prepare(self._settings.policy)
        _Master(self, self._parent).run()


class _Master(Arbiter):  # type: ignore[misc]
    """The master; it does not outlive who started it, as it would keep the address."""

    def __init__(self, app: Service, parent: int) -> None:
        self._parent = parent
        super().__init__(app)

    def murder_workers(self) -> None:
        """End workers that hang, as each second; and everything, if nobody wants it any more."""
        if os.getppid() != self._parent:
            self.log.warning("the process that started the service is gone")
            raise StopIteration  # as gunicorn ends itself: those under way are answered
        super().murder_workers()
