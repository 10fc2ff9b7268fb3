"""The journal: what happens, written down, and never in the way of what happens."""

from dataclasses import dataclass

import pykka
from loguru import logger

from supervisor.github import places
from supervisor.journal import Course
from supervisor.messages.tokens import InquireJob
from supervisor.parts import Parts
from supervisor.recording.writer import JournalStanding
from supervisor.supervision import Actor, System, handles

_LOOK_S = 10.0


@dataclass(frozen=True)
class _Stands:
    """The writer's standing has changed."""

    standing: JournalStanding


class _Look:
    """It is time to see whether the writer gets on."""


class JournalActor(Actor):
    """Says how the journal is. It needs nobody.

    What is told waits in an inbox, and the thread that writes it down outlives this actor, so that
    a crash of it loses nothing. The daemon ends that thread, after all who tell.
    """

    def __init__(self, system: System, parts: Parts) -> None:
        super().__init__(system)
        self._inbox = parts.journal
        self._writer = parts.journal_writer
        self._settings = parts.settings
        self._counters = parts.counters
        self._standing = JournalStanding()
        self._hung = ""
        self._lost = 0

    def on_start(self) -> None:
        """Have it written, if it is not."""
        self._standing = self._writer.start(self._tell, self._miss)
        self._show()
        self.tell_after(_LOOK_S, _Look())

    @handles(_Stands)
    def _stands(self, message: _Stands) -> None:
        before, self._standing = self._standing, message.standing
        now = message.standing
        if now.fault and not before.fault:
            logger.error("the journal can't be written: {}", now.fault)
        elif (before.fault or self._hung) and not now.fault:
            self._log_recovery()
        if now.warning and now.warning != before.warning:
            logger.warning("the journal: {}", now.warning)
        if now.prune_fault and not before.prune_fault:
            logger.error("the journal can't be pruned: {}", now.prune_fault)
        if now.log_fault and not before.log_fault:
            logger.error("the metric log can't be written: {}", now.log_fault)
        self._hung = ""  # it has just been heard of
        self._show()

    @handles(_Look)
    def _look(self, _message: _Look) -> None:
        """See whether the writer hangs, and what was lost meanwhile.

        From one that hangs nothing is heard. For one whose thread has ended there is another: this
        actor ends, and is started again.
        """
        if self._writer.is_lost:
            raise RuntimeError("the journal's writer has ended")
        hung = self._writer.hung
        if hung and not self._hung:
            logger.error("the journal can't be written: {}", hung)
        elif self._hung and not hung and not self._standing.fault:
            self._log_recovery()
        if (hung, self._inbox.lost) != (self._hung, self._lost):
            self._hung = hung
            self._show()
        self.tell_after(_LOOK_S, _Look())

    def _log_recovery(self) -> None:
        lost = self._inbox.lost
        logger.info("the journal is written again; {} events were lost", lost)

    def _show(self) -> None:
        """Publish how it is: no runner needs it, so what is wrong is a warning."""
        standing, self._lost = self._standing, self._inbox.lost
        fault = standing.fault or self._hung
        warnings = [fault, standing.warning]
        if standing.prune_fault:
            warnings.append(f"can't be pruned: {standing.prune_fault}")
        if self._lost:
            warnings.append(f"{self._lost} events were lost since the daemon has started")
        self.publish(
            "failing" if fault else "recording",
            fault or f"writes {self._inbox.path}",
            lost=self._lost,
            warnings=(
                *(f"journal: {one}" for one in warnings if one),
                *((f"metric log: {standing.log_fault}",) if standing.log_fault else ()),
            ),
        )

    def _tell(self, standing: JournalStanding) -> None:
        try:
            self.actor_ref.tell(_Stands(standing))
        except pykka.ActorDeadError:
            return  # the next incarnation asks how it stands

    def _miss(self, course: Course) -> None:
        """Have the job of a runner whose end nobody has seen be counted, and asked about.

        In the writer's thread. Where the runner was registered nobody knows any more: if not where
        runners are now, GitHub knows of no such job.
        """
        if course.job:
            self._counters.miss_job(course.name, course.job)
        place = places.of(self._settings.config)
        if inquiry := InquireJob.about(course.name, course.job, place):
            self.system.directory.tell("tokens", inquiry)
