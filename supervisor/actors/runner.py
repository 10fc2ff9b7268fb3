"""One runner: from its registration to the end of its instance."""

import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

import pykka
from loguru import logger

from supervisor import lifecycle
from supervisor.github import places
from supervisor.guest import GuestParameters, user_data
from supervisor.lifecycle import (
    AVAILABLE,
    STARTING,
    Effect,
    Event,
    Job,
    Life,
    RemovalFailed,
    Seen,
    Stage,
    Step,
)
from supervisor.messages.fleet import RunnerChanged, TakenOver
from supervisor.messages.runner import Happened, Look
from supervisor.messages.tokens import (
    DeleteRegistration,
    InquireJob,
    JitConfigFailed,
    JitConfigMade,
    RequestJitConfig,
)
from supervisor.observation import log, records
from supervisor.observation.feed import Make
from supervisor.parts import Parts
from supervisor.runners import marks
from supervisor.runners.blueprints import Blueprint
from supervisor.runners.instances import instance_request
from supervisor.runners.marks import Marks
from supervisor.runners.roster import Entry, digest
from supervisor.supervision import Actor, System, Timer, handles, offset
from supervisor.upgrades.application import Application
from supervisor.work.instance import (
    Inspected,
    InstanceWork,
    LogsSaved,
    Looked,
    LookFailed,
    Recorded,
)
from supervisor.workers import Work, Workers, WorkFailed

_LAST_ATTEMPT = 3
_LOOK_AGAIN_S = 2.0
_RECORD_LATER_S = 5.0
_RECORD_AGAIN_S = 30.0


_RECORDED = AVAILABLE | {Stage.BUSY, Stage.RETIRING}
"""The stages in which a record that was put off is still due: the instance stays for a while."""

_SAID_AT = {Stage.RETIRING: "INFO", Stage.FAILED: "WARNING"}
"""The levels of the lines of the log that say which stage a runner has come to; else DEBUG.

All stages stand in the journal, and a line of the log costs more than all else that tells of one.
"""

_TENDING = {Effect.INSPECT: InstanceWork.inspect, Effect.REMOVE: InstanceWork.remove}


@dataclass(frozen=True)
class Order:
    """A new runner shall be made.

    Attributes:
        blueprint: from this.
        signals: where its guest reports.
        application: what its guest runs.
        policy: where it asks whether its job may run; empty if it is not to ask.
    """

    blueprint: Blueprint
    signals: str
    application: Application
    policy: str = ""


@dataclass(frozen=True)
class _Done:
    """A piece of this runner's work on LXD is done."""

    outcome: Happened | Looked | LookFailed | Inspected | LogsSaved | Recorded


class _LookAgain:
    """It is time for another look, as the last one failed."""


class _RecordDue:
    """It is time for a record that was put off, unless another has been made since."""


class Birth:
    """How a runner's actor begins: first as it was ordered, later from what there is.

    It is the `start` of the child's specification, so it outlives the incarnations.
    """

    def __init__(
        self, system: System, parts: Parts, name: str, origin: Order | Marks | None
    ) -> None:
        self._system = system
        self._parts = parts
        self._name = name
        self._origin: Order | Marks | None = origin
        self._attempt = 0

    def __call__(self) -> pykka.ActorRef["RunnerActor"]:
        """Start an incarnation."""
        origin, self._origin = self._origin, None
        self._attempt += 1
        return RunnerActor.start(self._system, self._parts, self._name, origin, self._attempt)


class RunnerActor(Actor):
    """Carries out what the lifecycle decides for one runner.

    All of LXD's work for one runner is done in order, one call at a time, by worker threads; the
    actor itself never waits.

    Args:
        system: the supervision system.
        parts: what the actors share.
        name: of instance and registration.
        origin: an order for a new one, marks for one that a listing found, None for one whose
            actor has gone and that is to be looked at.
        attempt: counts the incarnations from 1.
    """

    observed = False  # it tells of each stage itself, with all that is known of the runner

    def __init__(
        self,
        system: System,
        parts: Parts,
        name: str,
        origin: Order | Marks | None,
        attempt: int,
    ) -> None:
        super().__init__(system)
        self._parts = parts
        self._name = name
        self._order = origin if isinstance(origin, Order) else None
        self._origin = origin
        self._attempt = attempt
        self._limits = parts.settings.config.limits.limits()
        self._instance = InstanceWork(parts.lxd, name, self._limits)
        unknown = Life(Stage.BOOTING, system.clock.steady(), "is being looked at")
        self._entry = parts.roster.get(name) or Entry(name, "", unknown)
        self._known = False
        self._early: list[Event] = []
        self._alarm: Timer | None = None
        self._request: Mapping[str, Any] = {}
        self._unrecorded = False
        self._looking = False

    def on_start(self) -> None:
        """Begin anew, or take over what is there."""
        self._parts.lanes.clear(self._name)
        if isinstance(self._origin, Order):
            self._known = True
            made_from = self._origin.blueprint
            self._entry = replace(
                self._entry, generation=made_from.generation, place=made_from.place
            )
            self._take(lifecycle.request(self._now()))
        elif isinstance(self._origin, Marks):
            self._adopt(self._origin)
        else:
            self.publish("unknown", "is being looked at")
            self._look(Look())

    def on_stop(self) -> None:
        """Leave the roster. A crash does not come here: the next incarnation answers for it."""
        self._parts.roster.drop(self._name)

    @handles(Happened)
    def _happened(self, message: Happened) -> None:
        self._happen(message.event)

    @handles(JitConfigMade)
    def _jit_config_made(self, message: JitConfigMade) -> None:
        if self._order and self._entry.life.stage is Stage.REQUESTED:
            self._prepare(self._order, message)
        self._happen(lifecycle.Registered(message.runner_id))

    @handles(JitConfigFailed)
    def _jit_config_failed(self, message: JitConfigFailed) -> None:
        self._happen(lifecycle.Failed(message.reason, message.cause))

    @handles(_Done)
    def _done(self, message: _Done) -> None:
        outcome = message.outcome
        if isinstance(outcome, Happened):
            self._happen(outcome.event)
        elif isinstance(outcome, Looked):
            self._looked(outcome)
        elif isinstance(outcome, LookFailed):
            if not self._known:
                self.publish("unknown", outcome.reason)
            self.tell_after(_LOOK_AGAIN_S, _LookAgain())
        elif isinstance(outcome, Inspected):
            self._inspected(outcome)
        elif isinstance(outcome, LogsSaved):
            self._logs_saved(outcome)
        elif outcome.error:
            # The stage is a help for the next daemon, which GitHub's list tells too; but as long
            # as it is not recorded, the instance's configuration holds secrets.
            if not outcome.stops:
                logger.warning("could not record the stage: {}", outcome.error)
            self._record_after(_RECORD_AGAIN_S)

    def _looked(self, outcome: Looked) -> None:
        self._looking = False
        if self._known:
            self._compare(outcome.marks)
            return
        self._adopt(outcome.marks)
        if self._entry.life.stage is Stage.BOOTING:
            self.system.directory.tell("fleet", TakenOver(self._name))

    def _inspected(self, outcome: Inspected) -> None:
        if outcome.job_begun is not None:
            begun = lifecycle.JobStarted(Job()) if outcome.job_begun else lifecycle.NoJobBegun()
            self._happen(begun)

    def _logs_saved(self, outcome: LogsSaved) -> None:
        if outcome.error:
            logger.warning("the guest's logs are lost: {}", outcome.error)
        elif outcome.kept:
            logger.info("the guest's logs are kept: supervisor-cli logs {}", self._name)

    @handles(WorkFailed)
    def _work_failed(self, message: WorkFailed) -> None:
        raise message.error

    @handles(Look)
    def _look(self, _message: Look) -> None:
        # One at a time, its repetitions included: while LXD can't be asked, every reconcile
        # wishes for another.
        if not self._looking:
            self._looking = True
            self._enqueue(self._parts.tending, self._instance.look)

    @handles(_LookAgain)
    def _look_again(self, _message: _LookAgain) -> None:
        self._enqueue(self._parts.tending, self._instance.look)

    def _happen(self, event: Event) -> None:
        if self._known:
            self._take(lifecycle.step(self._entry.life, event, self._now()), event)
        else:
            self._early.append(event)

    def _adopt(self, found: Marks | None) -> None:
        seen = self._dated(found.seen) if found else None
        if found and seen:
            self._entry = replace(
                self._entry,
                generation=found.generation,
                signal_digest=found.signal_digest,
                place=found.place or self._note_place(),
                policy=found.policy,
                made_at=seen.created_at,
            )
        before = self._entry.life
        self._known = True
        taken = lifecycle.adopt(seen, self._now())
        # Of an incarnation before this one, which may not have come to record it.
        ready_at = taken.life.ready_at or before.ready_at
        self._take(replace(taken, life=replace(taken.life, ready_at=ready_at)))
        if self._attempt > _LAST_ATTEMPT:
            # Whatever is wrong with this one must not go on for ever; a job in it may.
            reason = f"its actor crashed {self._attempt - 1} times"
            self._happen(lifecycle.DeletionOrdered(reason, stands=True))
        if before.ordered_away:  # it was given to an incarnation before this one
            self._happen(lifecycle.DeletionOrdered(before.ordered_away, stands=True))
        early, self._early = self._early, []
        for event in early:
            self._happen(event)

    def _dated(self, seen: Seen) -> Seen:
        """Give what was seen by the steady clock.

        What is marked is the time of day, which may have been set since; an incarnation before this
        one has the same moments in the roster as they are.
        """
        marked, life = seen.moved(-offset(self.system.clock)), self._entry.life
        known = {str(Stage.READY): life.ready_at}
        if life.stage is Stage.BUSY:
            known[str(Stage.BUSY)] = life.job_began_at or life.since
        return replace(
            marked,
            since=known.get(seen.stage) or marked.since,
            created_at=self._entry.made_at or marked.created_at,
        )

    def _note_place(self) -> str:
        """Settle where a runner is registered that was made before that was noted.

        For good: when `path` changes, it must not be looked for at the new one.
        """
        place = self._entry.place or places.of(self._parts.settings.config)
        self._enqueue(self._parts.tending, partial(self._instance.record, marks.of_place(place)))
        return place

    def _compare(self, found: Marks | None) -> None:
        if found is None:
            self._happen(lifecycle.InstanceGone())
        elif not found.seen.running:
            self._happen(lifecycle.FoundStopped())

    def _take(self, step: Step, event: Event | None = None) -> None:
        before = self._entry.life
        self._entry = replace(self._entry, life=step.life)
        if event is None or step.life != before:
            self._show(before)
            self._tell(before if event else None)
        if event is None or step.life.stage is not before.stage or isinstance(event, RemovalFailed):
            self._arm(step.life.stage, event)
        if step.life.stage is Stage.DELETED and before.stage is not Stage.DELETED:
            self._inquire(step.life.job)
        for effect in step.effects:
            self._do(effect, before)

    def _show(self, before: Life) -> None:
        life = self._entry.life
        self._parts.trials.learn(self._name, life, self._now())
        self._parts.roster.put(self._entry)
        job = asdict(life.job) if life.job else None
        self.publish(
            str(life.stage),
            life.reason,
            generation=self._entry.generation,
            runner_id=life.runner_id,
            job=job,
        )
        if (life.stage, life.reason) != (before.stage, before.reason):
            self._say(life)
        message = RunnerChanged(self._name, life)
        self.system.directory.tell("fleet", message)

    def _say(self, life: Life) -> None:
        """Have the log tell which stage it has come to; of the last one `life_lines` does."""
        level = _SAID_AT.get(life.stage, "DEBUG")
        if life.stage is not Stage.DELETED and log.is_written(level):
            job = f" ({life.job})" if life.stage is Stage.BUSY and str(life.job or "") else ""
            logger.log(level, "{}: {}{}", life.stage, life.reason, job)

    def _tell(self, before: Life | None) -> None:
        """Tell those who watch, what it was before or that this is its beginning."""
        entry, now = self._entry, self.system.clock.now()
        if before is None:
            adopted, shown = self._order is None, entry.moved(offset(self.system.clock))
            make: Make = partial(records.of_beginning, shown, now, adopted=adopted)
        else:
            make = partial(records.of_step, entry, before, now)
        self._parts.feed.tell_made(make)

    def _arm(self, stage: Stage, event: Event | None) -> None:
        if self._alarm:
            self._alarm.cancel()
            self._alarm = None
        left = self._limits.left(self._entry.life, self._now())
        # A failed runner is being removed; the alarm is for another try after that has failed.
        if left and (stage is not Stage.FAILED or isinstance(event, RemovalFailed)):
            message = Happened(lifecycle.LimitPassed(stage))
            self._alarm = self.tell_after(left.total_seconds(), message)

    def _do(self, effect: Effect, before: Life) -> None:
        life = self._entry.life
        if effect is Effect.REGISTER:
            assert self._order is not None  # noqa: S101 - only a new runner is to be registered
            blueprint = self._order.blueprint
            asked = RequestJitConfig(self._name, blueprint.labels, blueprint.group, blueprint.place)
            self.system.directory.tell("tokens", asked)
        elif effect is Effect.CREATE:
            request, self._request = self._request, {}  # it holds secrets: not kept
            self._enqueue(self._parts.creating, partial(self._instance.create, request))
        elif effect is Effect.START:
            self._enqueue(self._parts.creating, self._instance.start)
        elif effect is Effect.RECORD:
            if life.stage in AVAILABLE and self._others_are_starting():
                self._record_after(_RECORD_LATER_S)
            else:
                self._record()
        elif effect is Effect.SAVE_LOGS:
            self._enqueue(self._parts.tending, self._saving_of_logs(life.reason))
        elif work := _TENDING.get(effect):
            self._enqueue(self._parts.tending, partial(work, self._instance))
        elif effect is Effect.UNREGISTER:
            self._unregister(life.runner_id or before.runner_id)
        elif effect is Effect.END:
            self._parts.roster.drop(self._name)
            self.stop()

    def _unregister(self, runner_id: int | None) -> None:
        if runner_id is not None:
            order = DeleteRegistration(runner_id, self._name, self._entry.place)
            self.system.directory.tell("tokens", order)

    def _inquire(self, job: Job | None) -> None:
        """Have it found out what GitHub knows of its job; nobody waits for that."""
        if inquiry := InquireJob.about(self._name, job, self._entry.place):
            self.system.directory.tell("tokens", inquiry)

    def _saving_of_logs(self, reason: str) -> Work:
        config = self._parts.settings.config
        return partial(
            self._instance.save_logs,
            self._parts.logs,
            config.logs,
            reason=reason,
            at=self.system.clock.now(),
            secrets=config.proxies.secrets(),
        )

    def _others_are_starting(self) -> bool:
        """Tell whether LXD has more urgent work than to note that a guest is ready.

        Until it is noted, a restarted daemon learns it from GitHub's list; and if a job starts
        before, that is noted instead. It costs LXD a tenth of a small container's start.
        """
        return any(entry.life.stage in STARTING for entry in self._parts.roster.all())

    def _record_after(self, delay_s: float) -> None:
        self._unrecorded = True
        self.tell_after(delay_s, _RecordDue())

    @handles(_RecordDue)
    def _record_due(self, _message: _RecordDue) -> None:
        if self._unrecorded and self._entry.life.stage in _RECORDED:
            self._record()

    def _record(self) -> None:
        self._unrecorded = False
        keys = {**marks.of_place(self._entry.place), **marks.of_life(self._shown_life())}
        record = partial(self._instance.record, keys)
        self._enqueue(self._parts.tending, record)

    def _prepare(self, order: Order, made: JitConfigMade) -> None:
        token = secrets.token_urlsafe(32)
        blueprint = order.blueprint
        guest = GuestParameters(
            runner_name=self._name,
            jit_config=made.encoded,
            signal_url=f"{order.signals}/v1/runners/{self._name}/signals",
            signal_token=token,
            application_url=order.application.url,
            application_sha256=order.application.sha256,
            policy_url=order.policy,
            network=blueprint.network,
        )
        policy = self._parts.settings.config.policy.mode
        self._entry = replace(
            self._entry, signal_digest=digest(token), policy=policy, made_at=self._now()
        )
        metadata = marks.of_new_instance(
            installation=blueprint.installation,
            generation=blueprint.generation,
            place=made.place,
            runner_id=made.runner_id,
            created_at=self.system.clock.now(),
            signal_digest=self._entry.signal_digest,
            policy=policy,
        )
        self._request = instance_request(
            blueprint.template, name=self._name, user_data=user_data(guest), metadata=metadata
        )

    def _enqueue(self, workers: Workers, work: Work) -> None:
        self._parts.lanes.submit(self._name, workers, lambda: _Done(work()), self.actor_ref)

    def _shown_life(self) -> Life:
        """Give its life with the moments that people read, and later daemons."""
        return self._entry.life.moved(offset(self.system.clock))

    def _now(self) -> datetime:
        return self.system.clock.steady()
