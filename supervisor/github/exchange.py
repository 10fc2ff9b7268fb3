"""One request to GitHub's REST API and its answer, and conversations made of them.

A conversation is a generator: it yields requests, is sent their answers, and returns its result.
It holds no connection and no clock, so that whoever leads it decides when each request is sent, and
a test answers by hand. What an answer says of a refusal is thrown into it as a `GitHubError`.
"""

from collections.abc import Generator, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any, Literal, TypeVar

T = TypeVar("T")

NOT_MODIFIED = 304


@dataclass(frozen=True)
class Request:
    """One request.

    Attributes:
        verb: HTTP's.
        path: below the API's base, with its query.
        aim: what it is for; completes the sentence "could not …".
        body: sent as JSON.
        etag: of the answer that is held already; an unchanged one is a 304 and costs nothing.
        jwt: who asks, where that is not the session's own token. A secret.
    """

    verb: Literal["GET", "POST", "DELETE"]
    path: str
    aim: str
    body: Mapping[str, Any] | None = None
    etag: str = ""
    jwt: str = field(default="", repr=False)

    @property
    def is_read(self) -> bool:
        """Tell whether it changes nothing."""
        return self.verb == "GET"

    @property
    def is_idempotent(self) -> bool:
        """Tell whether it may be sent again whatever became of it: numbers are not used twice."""
        return self.verb != "POST"


@dataclass(frozen=True)
class Answer:
    """What came back: whatever the status.

    Attributes:
        status: HTTP's.
        headers: with lower-case names.
        data: the body as JSON says it; None where it is empty or no JSON.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    data: Any = field(default=None, repr=False)

    @property
    def message(self) -> str:
        """GitHub's own words, in one line; they hold no secret."""
        said = self.data.get("message") if isinstance(self.data, Mapping) else None
        text = " ".join(str(said).split())[:300] if said else ""
        return "".join(letter for letter in text if letter.isprintable())

    @property
    def date(self) -> datetime | None:
        """The server's own time, as far as it tells it."""
        return http_date(self.headers.get("date", ""))


Talk = Generator[Request, Answer, T]
"""A conversation that ends with a T, or with a `GitHubError`."""


def http_date(text: str) -> datetime | None:
    """Read a moment as HTTP writes it; None where it is not one."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


class Cache:
    """Answers that GitHub can say "unchanged" to, by path: such an answer costs no call.

    Args:
        held: where they are kept, each with its etag.
    """

    def __init__(self, held: MutableMapping[str, tuple[str, Answer]] | None = None) -> None:
        self._held = {} if held is None else held

    def fetch(self, request: Request) -> Talk[Answer]:
        """Ask, and give the answer held already where GitHub says that it still holds."""
        etag, held = self._held.get(request.path, ("", None))
        answer = yield Request(request.verb, request.path, request.aim, etag=etag)
        if answer.status == NOT_MODIFIED and held is not None:
            return held
        if new := answer.headers.get("etag"):
            self._held[request.path] = (new, answer)
        return answer

    def keep_only(self, prefix: str, paths: set[str]) -> None:
        """Forget what begins with `prefix` and is not among `paths`: pages that there are no more.

        Args:
            prefix: of paths.
            paths: those that still count.
        """
        for path in [p for p in self._held if p.startswith(prefix) and p not in paths]:
            del self._held[path]
