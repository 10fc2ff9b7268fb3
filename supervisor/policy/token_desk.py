"""Where guests get their one-time tokens for the policy service: signed here, or had in advance."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock

from supervisor.policy import tokens as policy_tokens

_KEPT = timedelta(hours=1)
"""How long a token that was had in advance is handed out: it may have a lifetime of its own."""
_REMEMBERED = timedelta(days=1)
"""How long it is known which of them a runner has been given; it gets no other meanwhile."""


@dataclass(frozen=True)
class Signer:
    """What tokens are signed with, and how long they are good."""

    secret: bytes = field(repr=False)
    lifetime: timedelta


class TokenDesk:
    """Hands them out. For any thread; it outlives the actors."""

    def __init__(self) -> None:
        self._signer: Signer | None = None
        self._stock: deque[tuple[str, datetime]] = deque()
        self._given: dict[tuple[str, str], tuple[str, datetime]] = {}
        self._taken: Callable[[], object] | None = None
        self._lock = Lock()

    @property
    def signs(self) -> bool:
        """Whether tokens are signed here."""
        return self._signer is not None

    def sign_with(self, signer: Signer) -> None:
        """Sign the tokens of a service that knows this secret."""
        with self._lock:
            self._signer = signer

    def put(self, tokens: Iterable[str], now: datetime) -> None:
        """Add tokens that another service has issued."""
        with self._lock:
            self._stock.extend((token, now) for token in tokens)

    def when_taken(self, call: Callable[[], object]) -> None:
        """Have something called, in any thread, when one of those in advance has been taken."""
        self._taken = call

    def stocked(self, now: datetime) -> int:
        """Say how many there are in advance."""
        with self._lock:
            self._forget_old(now)
            return len(self._stock)

    def token(self, runner: str, mark: str, address: str, now: datetime) -> str | None:
        """Give a token to a runner's guest; None if none can be had now.

        However often it asks, it can use one: an answer may have been lost, so it may ask again.

        Args:
            runner: its name.
            mark: what tells it from others that have had, or will have, that name.
            address: the guest's, as the kernel has verified it. A token that is signed here is good
                from there only.
            now: the time.
        """
        with self._lock:
            if self._signer:
                signer = self._signer
                nonce = policy_tokens.nonce_of(runner, mark)
                return policy_tokens.issue(
                    signer.secret, runner, address, now, signer.lifetime, nonce
                )
            self._forget_old(now)
            if given := self._given.get((runner, mark)):
                return given[0]
            if not self._stock:
                return None
            token = self._stock.popleft()[0]
            self._given[runner, mark] = (token, now)
        if self._taken:
            self._taken()
        return token

    def _forget_old(self, now: datetime) -> None:
        while self._stock and now - self._stock[0][1] >= _KEPT:
            self._stock.popleft()
        # In the order in which they were given.
        while self._given and now - (first := next(iter(self._given.items())))[1][1] >= _REMEMBERED:
            del self._given[first[0]]
