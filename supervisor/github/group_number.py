"""GitHub's number of the runner group that runners are registered in."""

from collections.abc import Callable

from supervisor.github.conversations import find_group
from supervisor.github.exchange import Cache, Talk
from supervisor.github.scope import Scope

_FRESH_S = 600.0


class GroupNumber:
    """Holds the number of one group, for a while: it may be made anew under the same name.

    Args:
        monotonic: tells the time in seconds.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._cache = Cache()
        self._name, self._number, self._fresh_until = "", 0, 0.0

    def find(self, scope: Scope, name: str) -> Talk[int]:
        """Give the number of the group of that name, after a look at GitHub where that is due."""
        if name != self._name or self._monotonic() >= self._fresh_until:
            self._number = yield from find_group(scope, self._cache, name)
            self._name, self._fresh_until = name, self._monotonic() + _FRESH_S
        return self._number

    def forget(self) -> None:
        """Look before it is used again."""
        self._fresh_until = 0.0
