"""What a subject of the upgrades' actor notes for those who are started later."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from supervisor.gateways.upgrade_notes import UpgradeNotes
from supervisor.supervision.clock import Clock
from supervisor.upgrades import Attempts
from supervisor.upgrades.notes import Moment, Note
from supervisor.upgrades.older import OlderOffer


class Notebook:
    """The notes of one subject, by the clocks of this process.

    Args:
        notes: on the disk.
        what: the subject.
        clock: tells the time.
    """

    def __init__(self, notes: UpgradeNotes, what: str, clock: Clock) -> None:
        self._notes = notes
        self._what = what
        self._clock = clock

    def hear_of(self, latest: str) -> datetime:
        """Note which version is the newest; say when that was first heard of."""
        now = self._clock.now()
        note = self._note.hear_of(latest, now)
        self._keep(note)
        return note.latest_since or now

    def failure(self, source: str = "") -> tuple[Attempts, str]:
        """Give how the attempts at what is noted to be of no use fared, and why.

        Args:
            source: where it would be had now; what came from another one says nothing of it.
        """
        failure = self._note.failure
        if failure is None or failure.source != source:
            return Attempts(), ""
        return failure.attempts(self._at), failure.reason

    def fail(self, attempts: Attempts, reason: str, source: str = "") -> None:
        """Note that a version is of no use: not one that could only not be had this time."""
        self._keep(self._note.fail(attempts, reason, self._at, source))

    def forget_failure(self) -> None:
        """Have everything tried at once, as if nothing had failed."""
        self._keep(replace(self._note, failure=None))

    def older(self) -> OlderOffer | None:
        """Give the older version that is noted to be offered."""
        older = self._note.older
        return older.offer(self._at) if older else None

    def follow(self, offer: OlderOffer | None) -> None:
        """Note which older version is offered."""
        self._keep(self._note.follow(offer, self._at))

    @property
    def _note(self) -> Note:
        return self._notes.of(self._what)

    @property
    def _at(self) -> Moment:
        return Moment(self._clock.now(), self._clock.monotonic())

    def _keep(self, note: Note) -> None:
        self._notes.keep(self._what, note)
