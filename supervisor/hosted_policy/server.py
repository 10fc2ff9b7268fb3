"""The process: gunicorn's master, and one worker, in which the package is."""

import os
import sys
import tempfile
from typing import Any, NoReturn

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter

from supervisor.hosted_policy import settings as settings_module
from supervisor.hosted_policy.front import Front
from supervisor.hosted_policy.package import Package, PackageFault
from supervisor.hosted_policy.settings import Settings
from supervisor.policy_service.decisions import DecisionLog
from supervisor.policy_service.master import Master, configure
from supervisor.policy_service.used_tokens import UsedTokens

_LONGEST_REASON = 1000


def serve(text: str, *, listen_fd: int, threads: int, parent: int) -> None:
    """Serve until a signal ends it, or the process that started it is gone.

    Args:
        text: the settings.
        listen_fd: descriptor of the socket.
        threads: requests that are answered at a time, of which the package sees one.
        parent: the process that started it.
    """
    settings = settings_module.parse(text)
    used = UsedTokens(settings.state_directory / "used-tokens")
    try:
        used.prepare()
    except OSError as error:
        sys.exit(f"policy service: {error.filename}: {error.strerror}")
    # Not before: what the daemon gave this process stays what /proc shows of its environment.
    os.environ.update(settings.environment)
    with tempfile.TemporaryFile() as words:
        application = _Application(settings, used, listen_fd, threads, words.fileno())
        _Master(application, parent, words.fileno()).run()


class _Application(BaseApplication):  # type: ignore[misc]
    """As gunicorn wants to have it; it is loaded in the worker, which has its threads."""

    def __init__(
        self, settings: Settings, used: UsedTokens, listen_fd: int, threads: int, words: int
    ) -> None:
        self._settings = settings
        self._used = used
        self._listen_fd = listen_fd
        self._threads = threads
        self._words = words
        super().__init__()

    def load_config(self) -> None:
        bind = f"fd://{self._listen_fd}"
        configure(self.cfg, bind=bind, workers=1, threads=self._threads, preload=False)

    def load(self) -> Front:
        """Give the web service.

        Raises:
            SystemExit: the package is of no use; gunicorn ends then, and starts no other worker.
        """
        package = Package(self._settings)
        try:
            package.load()
        except PackageFault as error:
            os.pwrite(self._words, str(error)[:_LONGEST_REASON].encode(), 0)
            sys.exit(Arbiter.APP_LOAD_ERROR)
        told = self._settings
        log = DecisionLog(told.decisions)
        return Front(package, told.token_secrets, self._used, log, told.scope)


class _Master(Master):
    """The master, whose last words are why the worker could not begin."""

    def __init__(self, app: Any, parent: int, words: int) -> None:
        self._words = words
        super().__init__(app, parent)

    def halt(self, reason: str | None = None, exit_status: int = 0) -> NoReturn:
        """End."""
        try:
            super().halt(reason, exit_status)
        finally:
            if words := os.pread(self._words, _LONGEST_REASON, 0).decode(errors="replace"):
                sys.stderr.write(" ".join(words.split()) + "\n")
        raise SystemExit(exit_status)
