"""The client of the control socket."""

import http.client
import json
import socket
from http import HTTPStatus
from pathlib import Path
from typing import Any

_TIMEOUT_S = 5

SILENCE_S = 60.0
"""How long those who wait bear that no daemon answers: it may be on its way back."""


class ControlError(Exception):
    """The daemon refuses, or its answer can't be read."""


class NotRunning(ControlError):
    """No daemon answers on the socket."""


class NoAnswer(ControlError):
    """A daemon is there, and has not answered in time."""


class AccessDenied(ControlError):
    """The socket may not be used by this user."""


class NotThere(ControlError):
    """The daemon knows nothing of that name, or nothing of the kind."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class ControlClient:
    """Asks a daemon.

    Args:
        socket: its control socket.
    """

    def __init__(self, socket: Path) -> None:
        self.socket = socket

    def get(self, path: str) -> Any:
        """Read something.

        Raises:
            NotRunning: nobody is there.
            NoAnswer: somebody is, and does not answer in time.
            AccessDenied: this user may not ask.
            NotThere: there is nothing at that path.
            ControlError: anything else.
        """
        return self._call("GET", path)

    def post(self, path: str) -> Any:
        """Order something; raises as `get` does."""
        return self._call("POST", path)

    def delete(self, path: str) -> Any:
        """Have something removed; raises as `get` does."""
        return self._call("DELETE", path)

    def put(self, path: str, document: Any) -> Any:
        """Set something; raises as `get` does."""
        return self._call("PUT", path, document)

    def _call(self, method: str, path: str, document: Any = None) -> Any:
        connection = _UnixConnection(self.socket)
        try:
            if document is None:
                connection.request(method, path)
            else:
                headers = {"Content-Type": "application/json"}
                connection.request(method, path, json.dumps(document), headers)
            response = connection.getresponse()
            body = response.read()
        except PermissionError as error:
            raise AccessDenied(
                f"{self.socket}: access denied; run this as root, or as a member of its group"
            ) from error
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise NotRunning(
                f"{self.socket}: no daemon is running there; start one with `supervisor-cli run`"
            ) from error
        except (TimeoutError, BlockingIOError) as error:
            # The latter where so many wait already that no more may.
            raise NoAnswer(
                f"{self.socket}: the daemon is there, and does not answer within {_TIMEOUT_S} s"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise ControlError(f"{self.socket}: the daemon does not answer: {error}") from error
        finally:
            connection.close()
        refused = response.status >= HTTPStatus.BAD_REQUEST
        try:
            answer = json.loads(body) if body else None
        except ValueError as error:
            if not refused:
                raise ControlError(f"{self.socket}: the answer can't be read") from error
            answer = None
        if refused:
            detail = answer.get("error") if isinstance(answer, dict) else None
            kind = NotThere if response.status == HTTPStatus.NOT_FOUND else ControlError
            raise kind(detail or f"the daemon refuses {path}: {response.reason}")
        return answer
