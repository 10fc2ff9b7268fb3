"""The answer that an actor owes to whoever asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pykka import ActorDeadError

if TYPE_CHECKING:
    from pykka import Future


class Reply:
    """The answer to one message, given once, by any thread, now or later.

    One that is still owed when the actor ends, or is abandoned, is ActorDeadError.
    """

    def __init__(self, future: Future[Any] | None, owed: set[Reply]) -> None:
        # A list, because taking its last item is atomic.
        self._futures = [future] if future is not None else []
        self._owed = owed
        if self._futures:
            owed.add(self)

    @property
    def is_wanted(self) -> bool:
        """Whether somebody asked and has no answer yet."""
        return bool(self._futures)

    def set(self, value: object) -> None:
        """Answer; does nothing if it was answered before, or the message was told, not asked."""
        if (future := self._take()) is not None:
            future.set(value)

    def fail(self, error: BaseException) -> None:
        """Have `error` raised where it was asked; else as `set`."""
        if (future := self._take()) is None:
            return
        if not isinstance(error, Exception):
            # SystemExit and the like would end the asker's thread, or its whole process.
            error = ActorDeadError(f"ended by {error!r}")
        future.set_exception((type(error), error, error.__traceback__))

    def _take(self) -> Future[Any] | None:
        self._owed.discard(self)
        try:
            return self._futures.pop()
        except IndexError:
            return None
