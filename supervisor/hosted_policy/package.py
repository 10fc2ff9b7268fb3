"""The package's application, called in one thread, as a client would call it over HTTP.

canonical/repo-policy-compliance keeps its tokens in a database in memory that is another for each
thread, so it is imported, and ever called, in one. Calls wait for each other.
"""

import importlib
import io
import json
import queue
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as Late
from dataclasses import dataclass
from functools import reduce
from http import HTTPStatus
from threading import Thread
from time import monotonic
from typing import Any
from wsgiref.util import setup_testing_defaults

from supervisor.hosted_policy.settings import Settings

_LONGEST_ANSWER = 64 << 10
_HUNG_S = 90.0
"""One call may take so long; canonical/repo-policy-compliance waits 20 s before it asks again."""


class PackageFault(Exception):
    """The package is no policy service; the message says why."""


class Busy(Exception):
    """It has not answered in time."""


@dataclass(frozen=True)
class Answer:
    """What it has answered."""

    status: int
    body: bytes = b""

    @property
    def text(self) -> str:
        """The body on one line."""
        return " ".join(self.body.decode(errors="replace").split())


class Package:
    """One application. For any thread.

    Args:
        settings: where it is, and what it is told.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._calls: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
        self._began: float | None = None
        self._app: Any = None
        Thread(target=self._run, name="package", daemon=True).start()

    def load(self) -> None:
        """Import it, and see whether it does as such a service does.

        Raises:
            PackageFault: it does not.
        """
        self._in_its_thread(self._load).result()

    def health(self, limit_s: float) -> Answer:
        """Ask for its health.

        Raises:
            Busy: it does not say in time.
        """
        return self._within(limit_s, lambda: self._call("GET", "/health"))

    def check(self, path: str, body: bytes, limit_s: float) -> Answer:
        """Ask it whether a job may run, by a token that it issues for that.

        Args:
            path: of the request.
            body: of the request: JSON.
            limit_s: seconds that it may take.

        Raises:
            Busy: it does not say in time.
            Exception: whatever it raises.
        """
        return self._within(limit_s, lambda: self._call("POST", path, self._token(), body))

    @property
    def hangs(self) -> bool:
        """Whether it has been at one call for longer than any may take."""
        began = self._began
        return began is not None and monotonic() - began > _HUNG_S

    def _within(self, limit_s: float, call: Callable[[], Answer]) -> Answer:
        future: Future[Answer] = self._in_its_thread(call)
        try:
            return future.result(limit_s)
        except (Late, CancelledError):
            if future.done() and not future.cancelled():
                raise  # it has raised that itself
            future.cancel()  # should it not have begun
            raise Busy(f"the package has not answered within {limit_s:.0f} s") from None

    def _in_its_thread(self, call: Callable[[], Any]) -> Future[Any]:
        future: Future[Any] = Future()
        self._calls.put((future, call))
        return future

    def _run(self) -> None:
        while True:
            future, call = self._calls.get()
            if not future.set_running_or_notify_cancel():
                continue
            self._began = monotonic()
            try:
                future.set_result(call())
            except Exception as error:  # noqa: BLE001 - it is handed to who has asked
                future.set_exception(error)
            except BaseException as error:  # noqa: BLE001 - nor may it end this thread, or another
                future.set_exception(PackageFault(f"it wants to end: {type(error).__name__}"))
            finally:
                self._began = None

    # In its thread

    def _load(self) -> None:
        module, _, name = self._settings.app.partition(":")
        try:
            found = reduce(getattr, name.split("."), importlib.import_module(module))
            self._app = _application(found)
        except BaseException as error:  # whatever somebody else's module does when it is imported
            words = f"{type(error).__name__}: {error}"
            raise PackageFault(f"can't import {self._settings.app}: {words}") from error
        try:
            self._prove()
            self._obey(self._settings.policy)
        except PackageFault:
            raise
        except Exception as error:
            words = f"{type(error).__name__}: {error}"
            raise PackageFault(f"it fails when it is asked: {words}") from error

    def _prove(self) -> None:
        """See whether it tells good tokens from others."""
        token = self._token()
        _expect(self._call("GET", "/auth-health", token), HTTPStatus.NO_CONTENT, "its own token")
        used = self._call("GET", "/auth-health", token)
        _expect(used, HTTPStatus.UNAUTHORIZED, "a token that was used")
        forged = self._call("GET", "/one-time-token", f"x{self._settings.charm_token}")
        _expect(forged, HTTPStatus.UNAUTHORIZED, "a wrong charm token")

    def _obey(self, policy: Any) -> None:
        if policy is None:
            return
        body = json.dumps(policy).encode()
        answer = self._call("POST", "/policy", self._settings.charm_token, body)
        if answer.status != HTTPStatus.NO_CONTENT:
            raise PackageFault(f"it refuses policy.document: {answer.status} {answer.text[:200]}")

    def _token(self) -> str:
        answer = self._call("GET", "/one-time-token", self._settings.charm_token)
        _expect(answer, HTTPStatus.OK, "its charm token")
        return answer.text

    def _call(self, method: str, path: str, token: str = "", body: bytes = b"") -> Answer:
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_TYPE": "application/json" if body else "",
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
        }
        if token:
            environ["HTTP_AUTHORIZATION"] = f"Bearer {token}"
        setup_testing_defaults(environ)
        statuses: list[str] = []

        def start_response(status: str, _headers: Any, _error: Any = None) -> Callable[..., None]:
            statuses.append(status)
            return lambda _data: None

        pieces = self._app(environ, start_response)
        try:
            said = b"".join(pieces)[:_LONGEST_ANSWER]
        finally:
            if hasattr(pieces, "close"):
                pieces.close()
        return Answer(int(statuses[-1].split()[0]), said)


def _application(found: Any) -> Any:
    """Give the application that was found; for a blueprint of Flask's, one that has it."""
    if hasattr(found, "register") and hasattr(found, "url_prefix"):
        flask = importlib.import_module("flask")
        app = flask.Flask("policy", static_folder=None)
        app.register_blueprint(found)
        return app
    if not callable(found):
        raise TypeError("it is no application")
    return found


def _expect(answer: Answer, status: HTTPStatus, what: str) -> None:
    if answer.status != status:
        said = f"{answer.status} {answer.text[:200]}".strip()
        raise PackageFault(f"to {what} it answers {said}, and not {status:d}")
