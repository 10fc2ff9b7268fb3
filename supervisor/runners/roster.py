"""The runners that have an actor, as those actors last told: readable by any thread."""

import hmac
import threading
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256

from supervisor.lifecycle import Life
from supervisor.planning import Runner


@dataclass(frozen=True)
class Entry:
    """One runner.

    Attributes:
        name: of instance and registration.
        generation: the settings it was made from.
        life: its stage, since when and why.
        signal_digest: SHA-256 of the token its guest shows, empty before there is one.
        place: where it is registered.
        policy: whom it asks whether its job may run, as `policy.mode` was when it was made; empty
            if that is not known.
        made_at: when its instance was ordered; None if that is not known.

    Its moments, and those of its life, are the steady clock's.
    """

    name: str
    generation: str
    life: Life
    signal_digest: str = ""
    place: str = ""
    policy: str = ""
    made_at: datetime | None = None

    def moved(self, by: timedelta) -> "Entry":
        """Give it with its moments by a clock that is ahead by so much."""
        return replace(self, life=self.life.moved(by), made_at=self.made_at and self.made_at + by)

    def as_planned(self) -> Runner:
        """Give it as the plan takes it."""
        life = self.life
        return Runner(
            self.name,
            life.stage,
            self.generation,
            life.since,
            removal_failures=life.removal_failures,
            runner_id=life.runner_id,
            retire_after=life.retire_after,
            ready_at=life.ready_at,
            has_job=life.job is not None,
            place=self.place,
        )


class Roster:
    """Who is there. It outlives every actor, so that a restarted fleet counts right at once.

    Attributes:
        is_complete: those that LXD shows were taken over: who is not here is none.
    """

    def __init__(self) -> None:
        self.is_complete = False
        self._entries: dict[str, Entry] = {}
        self._lock = threading.Lock()

    def put(self, entry: Entry) -> None:
        """Add a runner, or replace what is known of it."""
        with self._lock:
            self._entries[entry.name] = entry

    def drop(self, name: str) -> None:
        """Forget a runner; one that is not there is as good as forgotten."""
        with self._lock:
            self._entries.pop(name, None)

    def get(self, name: str) -> Entry | None:
        """Find a runner."""
        return self._entries.get(name)

    def all(self) -> list[Entry]:
        """Give all of them, as they are at this moment."""
        with self._lock:
            return list(self._entries.values())

    def recognises(self, name: str, token: str) -> bool:
        """Tell whether `token` is that runner's, in a time that says nothing of either."""
        entry = self._entries.get(name)
        expected = entry.signal_digest if entry else ""
        same = hmac.compare_digest(digest(token), expected or digest(""))
        return same and bool(expected)


def digest(token: str) -> str:
    """Hash a token as it is recorded: the token itself is known to its guest alone."""
    return sha256(token.encode()).hexdigest()
