"""What was decided of jobs: by the policy service, as its log says, and by guests, as they say."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from threading import Lock
from typing import Any

from loguru import logger

from supervisor.gateways import decision_log
from supervisor.gateways.decision_log import Tally
from supervisor.lifecycle import Job
from supervisor.observation import records
from supervisor.observation.feed import Feed
from supervisor.policy.limits import ALLOWED, REFUSED
from supervisor.supervision import Clock, offset
from supervisor.text import moments

CONTRADICTED = "contradicted"
_SHOWN = 20
_REMEMBERED = 1000
_LONG_AGO = datetime.min.replace(tzinfo=timezone.utc)
_UNBELIEVED = "not believed, as the service has let it run: "


class Verdicts:
    """Both, for any thread; it outlives the actors.

    A guest can refuse a job by itself, where it could not ask. But it runs other people's code, so
    its word is shown as its own, once for each runner, and is not believed against the service's.

    Args:
        log: the policy service's, if it is this host's.
        feed: is told of each decision once.
        since: of what stands in the log already, an earlier daemon has told what is from before
            then (time of day).
    """

    def __init__(self, log: Path, feed: Feed, since: datetime = _LONG_AGO) -> None:
        self._log = log
        self._feed = feed
        self._told_since = since
        self._tally = Tally()
        self._is_fresh = False
        self._counts: Counter[str] = Counter()
        self._last: deque[Mapping[str, Any]] = deque(maxlen=_SHOWN)
        self._heard: dict[str, None] = {}
        self._lock = Lock()

    @property
    def tally(self) -> Tally:
        """The service's, as it was read last."""
        return self._tally

    @property
    def complete_since(self) -> datetime | None:
        """Since when no decision has been missed, up to the last reading; None if not known.

        By the steady clock.
        """
        return self._tally.complete_since if self._is_fresh else None

    @property
    def guests(self) -> Mapping[str, int]:
        """How many have refused by themselves, and how many against what the service said."""
        return dict(self._counts)

    def read(self, clock: Clock) -> Tally:
        """Read what the service has decided since.

        Args:
            clock: tells when that is, and how far the log's times are from the steady clock's.

        Raises:
            OSError: it can't be read.
        """
        with self._lock:
            self._is_fresh = False
            self._tally = decision_log.follow(self._log, self._tally, clock.steady(), offset(clock))
            self._is_fresh = True
            read = self._tally
        # Whatever time they say they are from, as that may have been set: only of what is read for
        # the first time, or again, it has to tell whether it is new.
        self._tell(one for one in read.news if read.is_continued or self._is_recent(one))
        return read

    def has_allowed(self, runner: str) -> bool:
        """Tell whether the service has let a runner's job run, as far as was read."""
        decided = self._tally.decided.get(runner)
        return decided is not None and decided.verdict == ALLOWED

    def hear(self, runner: str, job: Job | None, reason: str, clock: Clock) -> bool:
        """Take a guest's word that its job was refused; tell whether it is to be believed.

        Args:
            runner: its name.
            job: what its guest has said of that before.
            reason: in the guest's words; printable, and short.
            clock: tells the time.
        """
        try:
            self.read(clock)
        except OSError as error:
            logger.bind(runner=runner).warning(
                "what the policy service has said of {} can't be read, so what was known before "
                "has to do: {}",
                runner,
                error,
            )
        decided = self._tally.decided.get(runner)
        if decided is not None and decided.verdict != ALLOWED:
            return True  # that is in the log
        believed = decided is None
        self._note(runner, job or Job(), reason, believed=believed, now=clock.now())
        return believed

    def last(self) -> tuple[Mapping[str, Any], ...]:
        """Give the latest, the oldest first: the service's, and guests' own."""
        with self._lock:
            both = (*self._tally.last, *self._last)
        return tuple(sorted(both, key=lambda one: str(one["time"]))[-_SHOWN:])

    def _note(self, runner: str, job: Job, reason: str, *, believed: bool, now: datetime) -> None:
        with self._lock:
            if runner in self._heard:
                return  # whatever it says again
            self._heard[runner] = None
            if len(self._heard) > _REMEMBERED:
                del self._heard[next(iter(self._heard))]
            self._counts[REFUSED if believed else CONTRADICTED] += 1
            said = {
                "time": now.isoformat(timespec="milliseconds"),
                "runner": runner,
                "repository": job.repository,
                "event": job.event,
                "verdict": REFUSED,
                "reason": reason if believed else _UNBELIEVED + reason,
                "duration_ms": None,
                "by": "guest",
            }
            self._last.append(said)
        if believed:
            self._tell((said,))

    def _is_recent(self, said: Mapping[str, Any]) -> bool:
        made_at = moments.read(str(said["time"]))
        return made_at is not None and made_at >= self._told_since

    def _tell(self, decisions: Iterable[Mapping[str, Any]]) -> None:
        for said in decisions:
            if record := records.of_decision(said):
                self._feed.tell(record)
