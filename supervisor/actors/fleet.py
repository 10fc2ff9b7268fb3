"""The fleet: as many runners as wanted, by comparing what is wanted with what is there."""

import secrets
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from loguru import logger

from supervisor import lifecycle, marks, naming, places, planning, storage
from supervisor.actors.runner import Birth, Order
from supervisor.blueprints import Blueprint, blueprint_of
from supervisor.config import Config, share_of
from supervisor.gateways.lxd import Instance, Lxd, LxdError, NotFound
from supervisor.lifecycle import AVAILABLE, Life, Stage
from supervisor.marks import Marks
from supervisor.messages import (
    AnnounceGitHub,
    AnnounceSignals,
    AnnounceStorage,
    ConfigChanged,
    DeleteRegistration,
    Drain,
    ForgetAhead,
    GitHubChanged,
    Happened,
    InstanceAppeared,
    InstancesListed,
    ListRegistrations,
    Look,
    Reconcile,
    RegisterAhead,
    RegistrationsListed,
    Resume,
    RunnerChanged,
    SignalsListening,
    StorageChanged,
)
from supervisor.pace import Pace
from supervisor.parts import Parts
from supervisor.planning import Desired, Listing, Patience, Plan, Suspicion
from supervisor.roster import Entry
from supervisor.supervision import (
    Actor,
    ChildSpec,
    OperationFailed,
    Restart,
    StartChild,
    System,
    Timer,
    handles,
)
from supervisor.workers import WorkFailed

_LISTING_LIMIT_S = 60.0
_SOON_S = 1.0
_CONFIRM_SOON_S = 15.0
_YOUNG = timedelta(minutes=2)
_COMING_UP = frozenset({Stage.BOOTING, *AVAILABLE, Stage.BUSY})
_LISTING_AGAIN_S = 30.0
_RUNNER_SHUTDOWN_S = 2.0


class _Balance:
    """It is time to look again at whether runners may be created."""


class _ListingLate:
    """A listing has taken too long."""

    def __init__(self, ticket: int) -> None:
        self.ticket = ticket


class FleetActor(Actor):
    """Keeps the wanted number of runners, and repairs what the edges missed.

    Args:
        system: the supervision system.
        parts: what the actors share.
        runners: the name of the supervisor under which runners are started.
    """

    def __init__(self, system: System, parts: Parts, runners: str) -> None:
        super().__init__(system)
        self._parts = parts
        self._runners = runners
        # An answer to an earlier incarnation must not be taken for one to this.
        self._ticket = secrets.randbits(48)
        self._listing: InstancesListed | None = None
        self._registered: RegistrationsListed | None = None
        self._reconciling = False
        self._began = 0.0
        self._again = ""
        self._history: dict[str, int] = {"reconciles": 0, "reconcile_ms": 0}
        self._balance_is_due = False
        self._registered_ahead: deque[str] = deque()
        self._blueprint: tuple[Config, Blueprint] | None = None
        self._suspicion = Suspicion()
        self._pace = Pace(parts.settings.config.lxd.creations_at_once)
        self._begun: dict[str, datetime] = {}
        self._had_actor: set[str] = set()
        self._may_create = False
        self._signals = ""
        self._storage = StorageChanged(reason="the storage pool has not been looked at yet")
        self._github = GitHubChanged(open=False, reason="GitHub has not been asked yet")
        self._trouble = ""
        self._next: Timer | None = None
        self._next_due = 0.0
        self._delayed: Timer | None = None

    def on_start(self) -> None:
        """Take over what the actors before have left: half-made instances, and nobody's entries."""
        for entry in self._parts.roster.all():
            if not self.system.directory.alive(entry.name):
                self._parts.roster.drop(entry.name)
        for name in self._parts.lanes.names():
            if self._parts.roster.get(name) is None:
                self._take_over(name)
        self.system.directory.tell("signals", AnnounceSignals())
        self.system.directory.tell("storage", AnnounceStorage())
        self.system.directory.tell("tokens", AnnounceGitHub())
        self._start_reconcile("the fleet has started")

    # The reconcile: both sides are listed at the same time, then compared.

    @handles(Reconcile)
    def _reconcile(self, message: Reconcile) -> int:
        under_way = 1 if self._reconciling else 0
        self._start_reconcile(message.why)
        return self._history["reconciles"] + under_way + 1

    @handles(Drain, Resume)
    def _drained_or_not(self, _message: Drain | Resume) -> None:
        self._forget_ahead()
        self._balance(_Balance())

    @handles(ConfigChanged)
    def _config_changed(self, _message: ConfigChanged) -> None:
        # They may carry labels that no longer hold, or not be wanted any more.
        self._forget_ahead()
        self._balance(_Balance())
        self._start_reconcile("the configuration has changed")

    def _forget_ahead(self) -> None:
        self._registered_ahead.clear()
        self.system.directory.tell("tokens", ForgetAhead())

    @handles(SignalsListening)
    def _signals_listening(self, message: SignalsListening) -> None:
        self._signals = message.base
        self._balance(_Balance())

    @handles(StorageChanged)
    def _storage_changed(self, message: StorageChanged) -> None:
        self._storage = message
        self._balance(_Balance())

    @handles(GitHubChanged)
    def _github_changed(self, message: GitHubChanged) -> None:
        self._github = message
        self._balance(_Balance())
        if message.open and self._trouble:
            self._start_reconcile("GitHub can be asked again")

    @handles(InstanceAppeared)
    def _instance_appeared(self, message: InstanceAppeared) -> None:
        if self._parts.roster.get(message.name) is None:
            self._reconcile_after(_SOON_S, f"instance {message.name} appeared")

    def _start_reconcile(self, why: str) -> None:
        if self._reconciling:
            self._again = why
            return
        logger.debug("reconcile: {}", why)
        self._reconciling, self._again = True, ""
        self._began = self.system.clock.monotonic()
        self._ticket += 1
        self._listing = self._registered = None
        self._had_actor = {entry.name for entry in self._parts.roster.all()}
        config = self._parts.settings.config
        work = partial(list_instances, self._parts.lxd, config.name, self._ticket)
        self._parts.listing.submit(work, self.actor_ref)
        self.system.directory.tell("tokens", ListRegistrations(self._ticket))
        self.tell_after(_LISTING_LIMIT_S, _ListingLate(self._ticket))

    @handles(InstancesListed)
    def _instances_listed(self, message: InstancesListed) -> None:
        if message.ticket == self._ticket and self._reconciling:
            self._listing = message
            self._compare()

    @handles(RegistrationsListed)
    def _registrations_listed(self, message: RegistrationsListed) -> None:
        if message.ticket == self._ticket and self._reconciling:
            self._registered = message
            self._compare()

    @handles(_ListingLate)
    def _listing_late(self, message: _ListingLate) -> None:
        if message.ticket == self._ticket and self._reconciling:
            late = f"took more than {_LISTING_LIMIT_S:.0f} s to list"
            self._listing = self._listing or InstancesListed(self._ticket, error=f"LXD {late}")
            self._registered = self._registered or RegistrationsListed(
                self._ticket, error=f"GitHub {late}"
            )
            self._compare()

    @handles(WorkFailed)
    def _work_failed(self, message: WorkFailed) -> None:
        raise message.error

    def _compare(self) -> None:
        listing, registered = self._listing, self._registered
        if listing is None or registered is None or self._looks_closer(listing, registered):
            return
        self._reconciling = False
        self._history = {
            "reconciles": self._history["reconciles"] + 1,
            "reconcile_ms": round(1000 * (self.system.clock.monotonic() - self._began)),
        }
        self._trouble = "; ".join(error for error in (listing.error, registered.error) if error)
        config = self._parts.settings.config
        adopted, soon = False, None
        if not listing.error:
            self._may_create = True
            instances = self._not_ended_since(listing.instances)
            plan = planning.reconcile(
                self._desired(),
                self._planned(),
                Listing(
                    running=frozenset(n for n, m in instances.items() if m.seen.running),
                    stopped=frozenset(n for n, m in instances.items() if not m.seen.running),
                    registrations=registered.registrations,
                    places=registered.places,
                ),
                suspicion=self._suspicion,
                now=self._now(),
                limits=Patience(offline=config.limits.offline, ready=config.limits.ready),
            )
            self._suspicion = plan.suspicion
            soon = plan.recheck
            adopted = bool(plan.adopt)
            for name in plan.adopt:
                self._adopt(name, instances[name])
            self._repair(plan)
            self._carry_out(plan)
        if self._again:
            self._start_reconcile(self._again)
        elif listing.error:
            # Nothing was repaired, and the operator is told so for as long as it isn't.
            again_s = min(_LISTING_AGAIN_S, config.reconcile_interval.total_seconds())
            self._reconcile_after(again_s, "LXD's list could not be had")
        elif adopted:
            # Only now is there somebody to hear what GitHub says of them.
            self._reconcile_after(_SOON_S, "to learn what those taken over are doing")
        elif soon is not None and soon < config.reconcile_interval:
            self._reconcile_after(soon.total_seconds(), "to confirm what the last one suspected")
        else:
            self._reconcile_after(config.reconcile_interval.total_seconds(), "the interval")
        self._show()

    def _looks_closer(self, listing: InstancesListed, registered: RegistrationsListed) -> bool:
        """Have LXD asked by name for what only GitHub shows, unless that has been done."""
        if listing.error:
            return False
        unseen = planning.unseen(
            self._desired(), self._planned(), listing.instances, registered.registrations
        )
        if not unseen - listing.asked:
            return False
        self._listing = None
        work = partial(
            look_closer, self._parts.lxd, self._parts.settings.config.name, listing, unseen
        )
        self._parts.listing.submit(work, self.actor_ref)
        return True

    def _not_ended_since(self, listed: Mapping[str, Marks]) -> dict[str, Marks]:
        """Leave out instances whose actors have ended since they were listed: they are gone."""
        ended = self._had_actor - {entry.name for entry in self._parts.roster.all()}
        return {name: found for name, found in listed.items() if name not in ended}

    def _reconcile_after(self, delay_s: float, why: str) -> None:
        now = self.system.clock.monotonic()
        if self._next:
            if now < self._next_due <= now + delay_s:
                return  # such as for what appeared while the last one was under way
            self._next.cancel()
        self._next_due = now + delay_s
        self._next = self.tell_after(delay_s, Reconcile(why))

    def _repair(self, plan: Plan) -> None:
        directory = self.system.directory
        for registration in plan.unregister:
            logger.info("registration {} has no instance: deleting it", registration.name)
            if registration.name in self._registered_ahead:
                self._registered_ahead.remove(registration.name)
            order = DeleteRegistration(registration.id, registration.name, registration.place)
            directory.tell("tokens", order)
        for name, number in plan.found:
            directory.tell(name, Happened(lifecycle.RegistrationFound(number)))
        for name in plan.look:
            directory.tell(name, Look())
        for name, why in plan.offline:
            directory.tell(name, Happened(lifecycle.WentOffline(why)))
        for name in plan.vanished:
            directory.tell(name, Happened(lifecycle.RegistrationVanished()))
        for name, registered in plan.jobless:
            directory.tell(name, Happened(lifecycle.JobLost(registered=registered)))
        for name, busy in plan.confirm:
            directory.tell(name, Happened(lifecycle.Confirmed(busy=busy)))

    # The balance: at each change, from the roster alone.

    @handles(RunnerChanged)
    def _runner_changed(self, message: RunnerChanged) -> None:
        self._judge(message.name, message.life)
        if message.life.stage is Stage.READY:
            self._reconcile_after(self._confirmation_delay_s(), "to see whether it is online")
        # Looking at all runners at each change of one would cost the square of their number: one
        # look comes after all the changes that wait here already.
        if not self._balance_is_due:
            self._balance_is_due = True
            self.tell_self(_Balance())

    @handles(_Balance)
    def _balance(self, _message: _Balance) -> None:
        self._balance_is_due = False
        if self._delayed:
            self._delayed.cancel()
            self._delayed = None
        self._carry_out(planning.balance(self._desired(), self._planned(), self._now()))
        self._register_ahead()
        self._show()

    def _judge(self, name: str, life: Life) -> None:
        """Learn from a runner of ours whether runners can be made now.

        One that was taken over says nothing of it, nor does one that was ordered away. What GitHub
        did not register is tried again when GitHub can; and what a job does to its guest is no
        reason to make others wait.
        """
        begun = self._begun.get(name)
        if begun is None:
            return
        if life.stage in _COMING_UP:
            self._pace = self._pace.passed(life.stage, begun)
        elif life.failed_in and life.stage is not Stage.RETIRING:
            del self._begun[name]
            if self._is_telling(life):
                self._pace = self._pace.failed(life.failed_in, life.reason, self._now(), begun)
        elif life.stage is Stage.DELETED:
            del self._begun[name]

    def _is_telling(self, life: Life) -> bool:
        """Tell whether a failure makes others likely: in the making, or soon after."""
        if life.failed_in in AVAILABLE and life.ready_at:
            return self._now() - life.ready_at < _YOUNG
        return life.failed_in in {Stage.CREATING, Stage.BOOTING}

    def _confirmation_delay_s(self) -> float:
        """Say how soon after a guest is ready GitHub is asked whether it is online."""
        if self._pace.failures and self._pace.stage in AVAILABLE:
            return _CONFIRM_SOON_S  # others wait for it
        return self._parts.settings.config.limits.ready.total_seconds() / 2

    def _carry_out(self, plan: Plan) -> None:
        for name, why in plan.retire:
            order = lifecycle.DeletionOrdered(why)
            self.system.directory.tell(name, Happened(order))
        if plan.recheck:
            self._balance_after(plan.recheck)
        may_create = self._may_create and self._signals and self._has_storage()
        if not (plan.create and may_create and self._github.open):
            return
        proven = self._github.proven
        for _ in range(self._pace.admit(plan.create, self._planned(), self._now(), proven=proven)):
            self._create_runner()
        if delay := self._pace.delay(self._now()):
            self._balance_after(delay)

    def _balance_after(self, delay: timedelta) -> None:
        if self._delayed is None:
            self._delayed = self.tell_after(delay.total_seconds(), _Balance())

    def _register_ahead(self) -> None:
        """Have those registered that will be created as soon as others are gone."""
        github = self._github
        may_create = self._may_create and self._has_storage()
        if self._pace.is_open or not (may_create and github.open and github.proven):
            return
        soon = planning.to_register_ahead(self._desired(), self._planned())
        while len(self._registered_ahead) < min(soon, self._pace.at_once):
            blueprint = self._current_blueprint()
            name = naming.new_runner_name(blueprint.installation)
            self._registered_ahead.append(name)
            order = RegisterAhead(name, blueprint.labels, blueprint.group, blueprint.place)
            self.system.directory.tell("tokens", order)

    def _create_runner(self) -> None:
        order = Order(self._current_blueprint(), self._signals)
        if self._registered_ahead:
            name = self._registered_ahead.popleft()
        else:
            name = naming.new_runner_name(order.blueprint.installation)
        life = Life(Stage.REQUESTED, self._now(), "its actor is being started")
        self._begun[name] = life.since
        blueprint = order.blueprint
        entry = Entry(name, blueprint.generation, life, place=blueprint.place)
        self._start_runner(entry, order)

    def _adopt(self, name: str, found: Marks) -> None:
        reason, number = "its actor is being started", found.seen.runner_id
        life = Life(Stage.BOOTING, self._now(), reason, number)
        place = found.place or places.of(self._parts.settings.config)
        entry = Entry(name, found.generation, life, found.signal_digest, place)
        self._start_runner(entry, found)

    def _take_over(self, name: str) -> None:
        """Start an actor for what LXD may still be making or removing: it has a look then.

        Its instance stands in no listing yet, but it takes a place.
        """
        generation = self._current_blueprint().generation
        life = Life(Stage.BOOTING, self._now(), "its actor is being started")
        self._start_runner(Entry(name, generation, life), None)

    def _start_runner(self, entry: Entry, origin: Order | Marks | None) -> None:
        name = entry.name
        self._had_actor.add(name)
        # Entered here already: the next plan must count it before its actor has spoken.
        self._parts.roster.put(entry)
        spec = ChildSpec(
            id=name,
            start=Birth(self.system, self._parts, name, origin),
            restart=Restart.TRANSIENT,
            shutdown=_RUNNER_SHUTDOWN_S,
            log_context={"runner": name},
        )
        self.system.directory.tell(self._runners, StartChild(spec, reply_to=self.actor_ref))

    @handles(OperationFailed)
    def _not_started(self, message: OperationFailed) -> None:
        """Free the place of a runner whose actor could not be started, such as for want of threads.

        What it may have left behind, a registration or an instance, the reconcile finds.
        """
        if isinstance(message.operation, StartChild):
            logger.error("a runner's actor did not start: {}", message.error)
            name = message.operation.spec.id
            self._parts.roster.drop(name)
            self._pace = self._pace.failed(
                Stage.CREATING,
                f"an actor did not start: {message.error}",
                self._now(),
                self._begun.pop(name, None),
            )
            self._balance(_Balance())

    # What people see.

    def _show(self) -> None:
        stages = [entry.life.stage for entry in self._parts.roster.all()]
        if self._parts.drain.since:
            state, reason = "draining", _drain_in_words(stages)
        else:
            state, reason = self._state_in_words(stages)
        if self._trouble:
            state, reason = "degraded", self._trouble
        self.publish(state, reason, **self._history)

    def _state_in_words(self, stages: Sequence[Stage]) -> tuple[str, str]:
        wanted = self._parts.settings.config.virtual_machines
        online = sum(1 for stage in stages if stage in AVAILABLE or stage is Stage.BUSY)
        reason = f"{online} of {wanted} runners are there"
        if not self._signals:
            return "keeping", f"{reason}; none is created until guests can report"
        if not self._has_storage():
            why = self._storage.reason or "the storage pool is being made ready"
            return "keeping", f"{reason}; none is created now: {why}"
        if not self._github.open and online < wanted:
            return "degraded", f"{reason}; none is created now: {self._github.reason}"
        if self._pace.failures:
            state = "degraded" if self._pace.is_open else "keeping"
            return state, f"{reason}; {self._pace_in_words()}"
        return "keeping", reason

    def _pace_in_words(self) -> str:
        pace = self._pace
        runners = "runner has" if pace.failures == 1 else "runners in a row have"
        text = f"{pace.failures} {runners} failed {_failing(pace.stage)}: {pace.reason}"
        if pace.is_open:
            text += "; one at a time is tried until one comes through"
        if delay := pace.delay(self._now()):
            text += f"; the next try is in {delay.seconds + 1} s"
        return text

    def _current_blueprint(self) -> Blueprint:
        config = self._parts.settings.config
        if self._blueprint is None or self._blueprint[0] is not config:
            self._blueprint = (config, blueprint_of(config))
        return self._blueprint[1]

    def _desired(self) -> Desired:
        config = self._parts.settings.config
        count = 0 if self._parts.drain.since else config.virtual_machines
        return Desired(
            config.name,
            count,
            self._current_blueprint().generation,
            unavailable=share_of(config.virtual_machines, config.max_unavailable),
            idle=config.limits.idle,
            room=storage.room(config),
        )

    def _has_storage(self) -> bool:
        """Tell whether the pool is there, and large enough for the configuration in force."""
        config, found = self._parts.settings.config, self._storage
        is_right = found.pool == storage.pool_name(config)
        return is_right and found.size >= storage.wanted_bytes(config)

    def _planned(self) -> list[planning.Runner]:
        return [entry.as_planned() for entry in self._parts.roster.all()]

    def _now(self) -> datetime:
        return self.system.clock.now()


def _drain_in_words(stages: Sequence[Stage]) -> str:
    order = "no runner is created until `supervisor-cli resume`"
    if not stages:
        return f"empty; {order}"
    busy = sum(1 for stage in stages if stage is Stage.BUSY)
    return f"{len(stages)} runners are left, {busy} of them run a job; {order}"


def _failing(stage: Stage) -> str:
    """Say what runners do at a stage."""
    words = {
        Stage.CREATING: "to be created",
        Stage.BOOTING: "to boot",
        Stage.READY: "before GitHub saw them online",
        Stage.IDLE: "soon after GitHub saw them online",
    }
    return words[stage]


def list_instances(lxd: Lxd, installation: str, ticket: int) -> InstancesListed:
    """List what LXD has of this installation."""
    try:
        found = lxd.instances()
    except LxdError as error:
        return InstancesListed(ticket, error=str(error))
    return InstancesListed(ticket, _ours(found, installation))


def look_closer(
    lxd: Lxd, installation: str, listed: InstancesListed, names: frozenset[str]
) -> InstancesListed:
    """Ask for instances by name, and add to a list what it did not show."""
    found = []
    for name in sorted(names):
        try:
            found.append(lxd.instance(name))
        except NotFound:
            continue
        except LxdError as error:
            return InstancesListed(listed.ticket, error=str(error))
    instances = {**listed.instances, **_ours(found, installation)}
    return replace(listed, instances=instances, asked=listed.asked | names)


def _ours(found: Iterable[Instance], installation: str) -> dict[str, Marks]:
    return {
        instance.name: marks.read(instance.status, instance.config)
        for instance in found
        if marks.are_of(installation, instance.config)
    }
