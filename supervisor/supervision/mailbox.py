"""An actor's inbox that can be closed."""

from __future__ import annotations

from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from pykka import ActorDeadError
from pykka._envelope import Envelope

if TYPE_CHECKING:
    from supervisor.supervision.cell import Cell

WAKE_UP: Envelope[None] = Envelope(None)
"""What an actor finds in its inbox when there is something to look at elsewhere."""


class Mailbox:
    """A FIFO queue of envelopes; once closed, whoever asks something hears that nobody is there.

    Pykka's own inbox can take an ask in the instant after the actor's last look at it, and then
    leaves the asker without an answer for ever. Any thread may put, close and read the depth;
    only the actor's own gets.

    Attributes:
        cell: the incarnation that the mailbox belongs to; set before the first envelope.
    """

    __slots__ = ("_closed", "_queue", "cell")

    cell: Cell

    def __init__(self) -> None:
        self._queue: SimpleQueue[Envelope[Any]] = SimpleQueue()
        self._closed = False

    def put(self, envelope: Envelope[Any], /) -> None:
        """Add an envelope; never blocks."""
        self._queue.put(envelope)
        # Looked at after putting: either this thread sees the closing or the closing one drains
        # the envelope.
        if self._closed:
            self._drain()

    def get(self) -> Envelope[Any]:
        """Wait for the next envelope."""
        return self._queue.get()

    def empty(self) -> bool:
        """Tell whether nothing waits."""
        return self._queue.empty()

    def depth(self) -> int:
        """Return how many envelopes wait."""
        return self._queue.qsize()

    def wake_up(self) -> None:
        """Make a waiting `get` return."""
        self._queue.put(WAKE_UP)

    def close(self) -> None:
        """Drop what waits and what still comes; those who asked get ActorDeadError."""
        self._closed = True
        self._drain()

    def _drain(self) -> None:
        wake_up = False
        while True:
            try:
                envelope = self._queue.get_nowait()
            except Empty:
                break
            wake_up = wake_up or envelope is WAKE_UP
            if envelope.reply_to is not None:
                error = ActorDeadError(f"{self.cell.path} ended before it handled the message")
                envelope.reply_to.set_exception((ActorDeadError, error, None))
        # The actor may not have seen it, and would wait for ever.
        if wake_up:
            self._queue.put(WAKE_UP)
