"""The journal: what happens, written down, and never in the way of what happens."""

from dataclasses import dataclass
from datetime import timedelta

import pykka
from loguru import logger

from supervisor.gateways.journal_store import Keeping
from supervisor.gateways.metric_log import MetricLog
from supervisor.parts import Parts
from supervisor.supervision import Actor, System, handles
from supervisor.work.journal_writer import JournalWriter, Standing

_STOP_LIMIT_S = 1.5
_LOOK_S = 10.0


@dataclass(frozen=True)
class _Stands:
    """The writer's standing has changed."""

    standing: Standing


class _Look:
    """It is time to see whether the writer gets on."""


class JournalActor(Actor):
    """Has the journal written, and says how it is. It needs nobody.

    What is told waits in an inbox that outlives this actor, so that a crash of it loses nothing.
    """

    def __init__(self, system: System, parts: Parts) -> None:
        super().__init__(system)
        self._parts = parts
        self._writer: JournalWriter | None = None
        self._standing = Standing()
        self._attempt: int | None = None
        self._hung = ""
        self._lost = 0

    def on_start(self) -> None:
        """Begin to write."""
        config = self._parts.settings.config
        log = config.metric_log
        self._writer = JournalWriter(
            self._parts.journal,
            flavor=config.name,
            keeping=self._keeping,
            now=self.system.clock.now,
            changed=self._tell,
            metric_log=MetricLog(log.path, log.most_bytes, log.keep) if log.path else None,
        )
        self._writer.start()
        self._parts.journal.written_by(self._writer.stop)
        self._show()
        self.tell_after(_LOOK_S, _Look())

    def on_stop(self) -> None:
        """Write down what is left."""
        self._close()

    def on_failure(self, *_error: object) -> None:
        """Let go of the file, so that the next incarnation can have it."""
        self._close()

    @handles(_Stands)
    def _stands(self, message: _Stands) -> None:
        before, self._standing = self._standing, message.standing
        now = message.standing
        if now.fault and not before.fault:
            logger.error("the journal can't be written: {}", now.fault)
        elif (before.fault or self._hung) and not now.fault:
            self._log_recovery()
        if now.warning and now.warning != before.warning:
            logger.error("the journal: {}", now.warning)
        if now.log_fault and not before.log_fault:
            logger.error("the metric log can't be written: {}", now.log_fault)
        self._hung = ""  # it has just been heard of
        self._show()

    @handles(_Look)
    def _look(self, _message: _Look) -> None:
        """See whether the writer is where it was at the last look, and what was lost meanwhile.

        From one that hangs, as a disk does, nothing is heard. For one whose thread has ended there
        is another: this actor ends, and is started again.
        """
        if self._writer and self._writer.is_lost:
            raise RuntimeError("the journal's writer has ended")
        before, self._attempt = self._attempt, self._writer.attempt if self._writer else None
        is_hung = self._attempt is not None and self._attempt == before
        hung = f"{self._parts.journal.path}: no answer within {_LOOK_S:.0f} s" if is_hung else ""
        if hung and not self._hung:
            logger.error("the journal can't be written: {}", hung)
        elif self._hung and not hung and not self._standing.fault:
            self._log_recovery()
        if (hung, self._parts.journal.lost) != (self._hung, self._lost):
            self._hung = hung
            self._show()
        self.tell_after(_LOOK_S, _Look())

    def _log_recovery(self) -> None:
        lost = self._parts.journal.lost
        logger.info("the journal is written again; {} events were lost", lost)

    def _show(self) -> None:
        """Publish how it is: no runner needs it, so what is wrong is a warning."""
        standing, self._lost = self._standing, self._parts.journal.lost
        fault = standing.fault or self._hung
        warnings = [fault, standing.warning]
        if self._lost:
            warnings.append(f"{self._lost} events were lost since the daemon has started")
        self.publish(
            "failing" if fault else "recording",
            fault or f"writes {self._parts.journal.path}",
            lost=self._lost,
            warnings=(
                *(f"journal: {one}" for one in warnings if one),
                *((f"metric log: {standing.log_fault}",) if standing.log_fault else ()),
            ),
        )

    def _keeping(self) -> Keeping:
        journal = self._parts.settings.config.journal
        return Keeping(timedelta(days=journal.retention_days), journal.most_bytes)

    def _tell(self, standing: Standing) -> None:
        try:
            self.actor_ref.tell(_Stands(standing))
        except pykka.ActorDeadError:
            return  # it is ending, and the writer with it

    def _close(self) -> None:
        if self._writer:
            self._writer.stop(_STOP_LIMIT_S)
        self._writer = None
