"""What has been asked of GitHub, counted: by what was asked, and how it was answered."""

import re
from collections import Counter
from collections.abc import Callable

from supervisor.github.errors import Unavailable
from supervisor.github.exchange import Answer, Request

_NO_ANSWER = "no answer"
_OTHER = "other"
_OWNER = r"/(?:repos/[^/]+/[^/]+|orgs/[^/]+|enterprises/[^/]+)"
_FORMS = {
    "/actions/runners": rf"{_OWNER}/actions/runners",
    "/actions/runners/generate-jitconfig": rf"{_OWNER}/actions/runners/generate-jitconfig",
    "/actions/runners/downloads": rf"{_OWNER}/actions/runners/downloads",
    "/actions/runners/{runner_id}": rf"{_OWNER}/actions/runners/\d+",
    "/actions/runner-groups": rf"{_OWNER}/actions/runner-groups",
    "/actions/runs/{run_id}/jobs": rf"{_OWNER}/actions/runs/\d+/jobs",
    "/app/installations/{installation_id}/access_tokens": r"/app/installations/\d+/access_tokens",
}
ROUTES = (*_FORMS, _OTHER)
"""What is asked for, whosever it is."""

Told = Callable[[str, str, str], object]
"""Is told of each call: its verb, its route and the answer's status, or that there is none."""


def route(path: str) -> str:
    """Say which of the few routes a path takes, without whose it is and without numbers."""
    path = path.partition("?")[0]
    return next((name for name, form in _FORMS.items() if re.fullmatch(form, path)), _OTHER)


class Calls:
    """What has been asked since the start.

    Args:
        tell: is told of each call, too.
    """

    def __init__(self, tell: Told) -> None:
        self._tell = tell
        self._by_status: Counter[tuple[str, str]] = Counter()

    def count(self, request: Request, outcome: Answer | Unavailable) -> None:
        """Count one request."""
        status = str(outcome.status) if isinstance(outcome, Answer) else _NO_ANSWER
        self._by_status[request.verb, status] += 1
        self._tell(request.verb, route(request.path), status)

    def report(self) -> dict[str, int]:
        """Give the counts, as JSON takes them: `GET 200`, `POST 201`, `DELETE no answer`."""
        return {" ".join(key): number for key, number in sorted(self._by_status.items())}
