"""What can go wrong with LXD, and how its answers are told apart.

LXD gives a status code to a call that it refuses at once. What it refuses later arrives as the
text of a background operation's error, in an answer with status 200: only the words tell what
happened. The words below are those of LXD 5.0 to 5.21, met in tests against the real daemon.
"""

from __future__ import annotations

import errno
import re
from typing import TYPE_CHECKING

import requests

from supervisor.causes import Cause, CausedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pylxd import exceptions as pylxd_errors

_MOST_LETTERS = 1000
"""Of what LXD says: a page of something that is none would fill the log."""


class LxdError(CausedError):
    """LXD did not do what it was asked. The message is for the operator and holds no secret."""

    cause = Cause.LXD_FAILED


class LxdUnavailable(LxdError):
    """LXD can't be reached, doesn't answer in time, or lost what it was doing."""

    cause = Cause.LXD_UNAVAILABLE


class NotFound(LxdError):
    """What the call is about, or something that it names, is not there."""


class AlreadyExists(LxdError):
    """The name is taken."""


class Refused(LxdError):
    """LXD does not accept the request; the same request will be refused again."""


class OperationFailed(LxdError):
    """LXD accepted the request and failed to do it."""


class Stopping(OperationFailed):
    """The instance is about to stop, and LXD does nothing else with it meanwhile."""


class TimedOut(LxdError):
    """The time limit has passed, and LXD goes on with it."""


_BAD_REQUEST = 400
_UNAUTHORISED = (401, 403)
_NOT_FOUND = 404
_CONFLICT = 409
_STALE = 412
_UNAVAILABLE = 503
_SHORTEST_SECRET = 8

_TAKEN = re.compile(r"already exists|already in use|already allocated", re.IGNORECASE)
_MISSING = re.compile(
    r"not found|doesn't exist|does not exist|no such (object|file)", re.IGNORECASE
)
_STOPS = re.compile(r'busy running a "stop"', re.IGNORECASE)
_WRONG = re.compile(
    r"unknown configuration key|invalid|doesn't match|is already |is not running|is running"
    r"|not supported|in use|only empty|must be|protected|not allowed|forbidden",
    re.IGNORECASE,
)

_FOUNDATION = re.compile(
    r"""\b(?:project|network|storage\ pool|profile)  # what `prepare-lxd` makes
    (?:\ "[^"]*")?\ (?:not\ found|doesn't\ exist)""",
    re.IGNORECASE | re.VERBOSE,
)
_CAUSES = {
    Cause.LXD_INCOMPLETE: _FOUNDATION,
    Cause.IMAGE_MISSING: re.compile(r"image (not found|not provided|alias)", re.IGNORECASE),
    Cause.NO_SPACE: re.compile(r"out of (disk )?space|no space left", re.IGNORECASE),
}
"""How LXD's words, its own or those of what it runs, tell a cause; the first one counts."""

_CAN_START = "is LXD running? (snap services lxd, or systemctl status lxd)"
_HINTS = {
    errno.ENOENT: "there is no such socket: install or start LXD, or set lxd.socket",
    errno.ECONNREFUSED: f"nothing listens there; {_CAN_START}",
    errno.EACCES: "access is denied: run as root or add the user to LXD's group (usermod -aG lxd)",
    errno.EPERM: "access is denied: run as root or add the user to LXD's group (usermod -aG lxd)",
}


def unreachable(error: BaseException, aim: str, where: str, timeout_s: float) -> LxdUnavailable:
    """Explain why no answer was had.

    Args:
        error: What requests, pylxd or the socket raised.
        aim: Completes the sentence "could not …".
        where: The socket.
        timeout_s: The time limit that held for the call.
    """
    chain = list(_chain(error))
    if any(isinstance(one, (requests.Timeout, TimeoutError)) for one in chain):
        why = f"no answer within {round(timeout_s, 1):g} s; LXD hangs or is overloaded"
    else:
        numbers = [one.errno for one in chain if isinstance(one, OSError) and one.errno]
        why = next((_HINTS[number] for number in numbers if number in _HINTS), "")
        why = why or f"the connection broke ({error}); {_CAN_START}"
    return LxdUnavailable(f"could not {aim}: LXD at {where}: {why}")


def of_answer(error: pylxd_errors.LXDAPIException, aim: str, secrets: Iterable[str]) -> LxdError:
    """Translate a refusal that came with the answer itself."""
    code, words = error.response.status_code, _words(error)
    kind = {
        _NOT_FOUND: NotFound,
        _CONFLICT: AlreadyExists,
        _STALE: Refused,
        _UNAVAILABLE: LxdUnavailable,
    }.get(code)
    kind = Refused if code in _UNAUTHORISED else kind
    kind = kind or _kind_of(words, Refused if code == _BAD_REQUEST else OperationFailed)
    return kind(_sentence(aim, redacted(words, secrets)), _cause_of(words))


def of_operation(words: str, aim: str, secrets: Iterable[str]) -> LxdError:
    """Translate the error of an operation, of which there is nothing but words."""
    kind = _kind_of(words, OperationFailed)
    return kind(_sentence(aim, redacted(words, secrets)), _cause_of(words))


def redacted(words: str, secrets: Iterable[str]) -> str:
    """Take values that nobody may see out of LXD's words, whole or line by line."""
    for secret in secrets:
        for part in (secret, *secret.splitlines()):
            # A shorter one is no secret, and may be part of any word.
            if len(part.strip()) >= _SHORTEST_SECRET:
                words = words.replace(part, "[withheld]")
    return words


def _kind_of(words: str, otherwise: type[LxdError]) -> type[LxdError]:
    if _TAKEN.search(words):
        return AlreadyExists
    if _MISSING.search(words):
        return NotFound
    if _STOPS.search(words):
        return Stopping
    return Refused if _WRONG.search(words) else otherwise


def _cause_of(words: str) -> Cause | None:
    return next((cause for cause, form in _CAUSES.items() if form.search(words)), None)


def _sentence(aim: str, words: str) -> str:
    return f"could not {aim}: LXD says: {words or 'nothing'}"


def _words(error: pylxd_errors.LXDAPIException) -> str:
    words = str(error)
    return words if len(words) <= _MOST_LETTERS else words[:_MOST_LETTERS] + " …"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Walk all that an exception carries: requests and urllib3 put causes into arguments."""
    waiting, seen = [error], set()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        carried = [*one.args, one.__cause__, one.__context__, getattr(one, "reason", None)]
        waiting.extend(item for item in carried if isinstance(item, BaseException))
