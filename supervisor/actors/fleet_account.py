"""What is told of the fleet: a part of its actor, in its thread."""

from collections.abc import Callable
from datetime import datetime

from supervisor.causes import Fault
from supervisor.messages.fleet import RunnerChanged
from supervisor.messages.tokens import GitHubChanged
from supervisor.observation import records
from supervisor.parts import Parts
from supervisor.planning import Desired
from supervisor.status.health import short_since
from supervisor.status.outlook import Outlook
from supervisor.supervision import System


class FleetAccount:
    """Says how the fleet is, and how each reconcile has gone.

    Args:
        system: the supervision system.
        parts: what the actors share.
        publish: the actor's.
    """

    def __init__(self, system: System, parts: Parts, publish: Callable[..., None]) -> None:
        self._clock = system.clock
        self._parts = parts
        self._publish = publish
        self._failed: set[str] = set()
        self._compared_at = system.clock.steady()
        self._short_since: datetime | None = None
        self._reconcile_ms = 0
        self.reconciles = 0
        self.trouble = Fault()
        """What the last reconcile could not list, and why."""

    def note_failure(self, runner: RunnerChanged) -> None:
        """Count a runner that has failed, unless it had done so before the last reconcile."""
        if runner.life.since >= self._compared_at:
            self._failed.add(runner.name)

    def tell_of_reconcile(self, desired: Desired, duration_s: float, trouble: Fault) -> None:
        """Tell those who watch that both sides were compared.

        Args:
            desired: what was wanted.
            duration_s: how long it took.
            trouble: what could not be listed, and why.
        """
        now = self._clock.now()
        record = records.of_reconcile(
            desired.installation,
            now,
            runners={entry.name: entry.life.stage for entry in self._parts.roster.all()},
            wanted=desired.count,
            failed=len(self._failed),
            duration_s=duration_s,
            trouble=trouble.reason,
        )
        self.reconciles += 1
        self._reconcile_ms = round(1000 * duration_s)
        self.trouble = trouble
        self._failed.clear()
        self._compared_at = self._clock.steady()
        self._parts.feed.tell(record)

    def show(self, lacks: str, github: GitHubChanged) -> None:
        """Publish how the fleet is.

        Args:
            lacks: what is missing before a runner can be created, beside GitHub.
            github: whether it can be asked.
        """
        outlook = Outlook(
            wanted=self._parts.settings.config.virtual_machines,
            stages=[entry.life.stage for entry in self._parts.roster.all()],
            trouble=self.trouble,
            draining=self._parts.drain.since is not None,
            lacks=lacks,
            github=Fault() if github.open else Fault(github.reason, github.cause),
            pace=self._parts.trials.pace,
            now=self._clock.steady(),
        )
        state, reason, cause = outlook.in_words()
        wanted = 0 if outlook.draining else outlook.wanted
        self._short_since = short_since(self._short_since, wanted, outlook.stages, outlook.now)
        self._publish(
            state,
            reason,
            cause=str(cause),
            reconciles=self.reconciles,
            reconcile_ms=self._reconcile_ms,
            # By the steady clock, as other moments of lives; who reads it tells the time of day.
            short_since=self._short_since.isoformat() if self._short_since else None,
        )
