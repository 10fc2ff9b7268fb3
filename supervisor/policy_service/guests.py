"""Who holds which connections of a worker, and who may have one more.

Guests run other people's code, which must not keep others from being answered.
"""

from dataclasses import dataclass
from typing import Generic, TypeVar

from supervisor.policy.limits import SHARE

C = TypeVar("C")


@dataclass(frozen=True)
class Admission(Generic[C]):
    """Whether a connection may stay, and which one has to go for it."""

    stays: bool
    instead_of: C | None = None


class Guests(Generic[C]):
    """The connections of guests, told apart by address. For one thread.

    A guest's share shrinks with the number of those that are there. Where all threads are taken by
    some that came before, who has the most loses the oldest: so as long as there are as many
    threads as guests, a guest that has no connection yet gets one, whatever the others do.

    Args:
        threads: how many connections can be served at a time.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._held: dict[str, dict[C, float]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def admit(self, address: str, connection: C, now: float) -> Admission[C]:
        """Take in a connection, unless its guest has its share.

        Args:
            address: the guest's.
            connection: hashable.
            now: monotonic, seconds.
        """
        own = len(self._held.get(address, ()))
        guests = len(self._held) + (own == 0)
        if own >= min(SHARE, max(1, self._threads // guests)):
            return Admission(stays=False)
        instead_of = self._dismiss(own) if self._count >= self._threads else None
        self._held.setdefault(address, {})[connection] = now
        self._count += 1
        return Admission(stays=True, instead_of=instead_of)

    def leave(self, address: str, connection: C) -> None:
        """Forget a connection that is closed; one that is not known is as good as forgotten."""
        held = self._held.get(address, {})
        if held.pop(connection, None) is not None:
            self._count -= 1
        if not held:
            self._held.pop(address, None)

    def older_than(self, moment: float) -> tuple[C, ...]:
        """Give those that came before a moment."""
        return tuple(
            connection
            for held in self._held.values()
            for connection, came in held.items()
            if came < moment
        )

    def _dismiss(self, own: int) -> C | None:
        """Take the oldest connection from who has the most, if that is more than the others have.

        Args:
            own: how many the guest has that wants one more.
        """
        greediest = max(self._held, key=lambda address: len(self._held[address]))
        if len(self._held[greediest]) <= own + 1:
            return None
        oldest = next(iter(self._held[greediest]))
        self.leave(greediest, oldest)
        return oldest
