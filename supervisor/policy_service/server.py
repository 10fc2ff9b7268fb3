"""The service under gunicorn: one master, which reads the settings, and several workers."""

from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication

from supervisor.policy_service.app import make_app
from supervisor.policy_service.asking import GitHub
from supervisor.policy_service.decisions import DecisionLog
from supervisor.policy_service.judge import Judge
from supervisor.policy_service.master import Master, configure
from supervisor.policy_service.settings import Settings
from supervisor.policy_service.state import State


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
        self._how: dict[str, Any] = {"bind": bind, "workers": workers, "threads": threads}
        super().__init__()

    def load_config(self) -> None:
        """Take the options as they are: none of the environment's, and no file's."""
        configure(self.cfg, preload=True, **self._how)

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
        Master(self, self._parent).run()
