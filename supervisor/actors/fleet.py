"""The fleet: as many runners as wanted, by comparing what is wanted with what is there."""

from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from loguru import logger

from supervisor import lifecycle, planning
from supervisor.actors import survey
from supervisor.actors.fleet_account import FleetAccount
from supervisor.actors.runner import Birth, Order
from supervisor.actors.survey import Found, Survey
from supervisor.config import Config, share_of
from supervisor.github import places
from supervisor.host import storage
from supervisor.lifecycle import AVAILABLE, Life, Stage
from supervisor.messages.configuration import ConfigChanged
from supervisor.messages.firewall import AnnounceFirewall, CheckFirewall, FirewallChanged
from supervisor.messages.fleet import (
    Drain,
    InstanceAppeared,
    InstancesListed,
    Reconcile,
    Resume,
    RunnerChanged,
    TakenOver,
)
from supervisor.messages.image import AnnounceImage, ImageChanged
from supervisor.messages.policy import AnnouncePolicy, PolicyChanged
from supervisor.messages.runner import Happened, Look
from supervisor.messages.signals import AnnounceSignals, SignalsListening
from supervisor.messages.storage import AnnounceStorage, StorageChanged
from supervisor.messages.tokens import (
    AnnounceGitHub,
    DeleteRegistration,
    ForgetAhead,
    GitHubChanged,
    RegisterAhead,
    RegistrationsListed,
)
from supervisor.messages.upgrades import AnnounceApplication, ApplicationChanged, CheckUpgrades
from supervisor.parts import Parts
from supervisor.planning import Desired, Patience, Plan, Suspicion
from supervisor.runners import naming
from supervisor.runners.blueprints import Blueprint
from supervisor.runners.marks import Marks
from supervisor.runners.needs import RunnerNeeds
from supervisor.runners.roster import Entry
from supervisor.supervision import (
    Actor,
    ChildAlreadyPresent,
    ChildAlreadyStarted,
    ChildSpec,
    OperationFailed,
    Restart,
    StartChild,
    System,
    Timer,
    handles,
    offset,
)
from supervisor.upgrades.application import Application
from supervisor.workers import WorkFailed

_SOON_S = 1.0
_CONFIRM_SOON_S = 15.0
_LISTING_AGAIN_S = 30.0
_RUNNER_SHUTDOWN_S = 2.0
_UPGRADES_FRESH_S = 10.0
_LEARN = "to learn what those taken over are doing"
_TO_BE_SUCCEEDED = frozenset({Stage.BUSY, Stage.FINISHED, Stage.RETIRING, Stage.FAILED})
"""The stages of a runner that another will take the place of."""


class _Balance:
    """It is time to look again at whether runners may be created."""


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
        self._survey = Survey(parts, system.directory, self.actor_ref)
        self._began = 0.0
        self._again = ""
        self._account = FleetAccount(system, parts, self.publish)
        self._balance_is_due = False
        self._registered_ahead: deque[str] = deque()
        self._blueprint: tuple[Config, Blueprint] | None = None
        self._suspicion = Suspicion()
        self._trials = parts.trials
        self._may_create = False
        self._needs = RunnerNeeds()
        self._github = GitHubChanged(open=False, reason="GitHub has not been asked yet")
        self._next: Timer | None = None
        self._next_due = 0.0
        self._delayed: Timer | None = None
        self._delayed_due = 0.0
        self._rooms: dict[str, storage.Room] = {}

    def on_start(self) -> None:
        """Take over what the actors before have left: half-made instances, and nobody's entries."""
        entries = self._parts.roster.all()
        self._trials.resume({entry.name: entry.life for entry in entries}, self._now())
        for entry in entries:
            if not self.system.directory.alive(entry.name):
                # Its actor waits to be started again, or has gone with its supervisor.
                self._start_runner(entry, None)
        for name in self._parts.lanes.names():
            if self._parts.roster.get(name) is None:
                self._take_over(name)
        self.system.directory.tell("signals", AnnounceSignals())
        self.system.directory.tell("storage", AnnounceStorage())
        self.system.directory.tell("firewall", AnnounceFirewall())
        self.system.directory.tell("upgrades", AnnounceApplication())
        self.system.directory.tell("image", AnnounceImage())
        self.system.directory.tell("policy", AnnouncePolicy())
        self.system.directory.tell("tokens", AnnounceGitHub())
        self._start_reconcile("the fleet has started")

    # The reconcile: both sides are listed at the same time, then compared.

    @handles(Reconcile)
    def _reconcile(self, message: Reconcile) -> int:
        under_way = 1 if self._survey.under_way else 0
        self._start_reconcile(message.why)
        return self._account.reconciles + under_way + 1

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
        self._needs = replace(self._needs, signals=message.base)
        self._balance(_Balance())

    @handles(StorageChanged)
    def _storage_changed(self, message: StorageChanged) -> None:
        self._needs = replace(self._needs, storage=message)
        self._balance(_Balance())

    @handles(FirewallChanged)
    def _firewall_changed(self, message: FirewallChanged) -> None:
        before = self._needs.firewall
        self._needs = replace(self._needs, firewall=message)
        if (message.filters_ipv6, message.servers) != (before.filters_ipv6, before.servers):
            self._blueprint = None
        self._balance(_Balance())

    @handles(ApplicationChanged)
    def _application_changed(self, message: ApplicationChanged) -> None:
        self._blueprint = None
        self._needs = replace(self._needs, application=message)
        self._balance(_Balance())

    @handles(ImageChanged)
    def _image_changed(self, message: ImageChanged) -> None:
        self._blueprint = None
        self._needs = replace(self._needs, image=message)
        self._balance(_Balance())

    @handles(PolicyChanged)
    def _policy_changed(self, message: PolicyChanged) -> None:
        self._needs = replace(self._needs, policy=message)
        self._balance(_Balance())

    @handles(GitHubChanged)
    def _github_changed(self, message: GitHubChanged) -> None:
        self._github = message
        self._balance(_Balance())
        if message.open and self._account.trouble:
            self._start_reconcile("GitHub can be asked again")

    @handles(InstanceAppeared)
    def _instance_appeared(self, message: InstanceAppeared) -> None:
        if self._parts.roster.get(message.name) is None:
            self._reconcile_after(_SOON_S, f"instance {message.name} appeared")

    @handles(TakenOver)
    def _taken_over(self, message: TakenOver) -> None:
        self._reconcile_after(_SOON_S, f"to learn what {message.name} is doing")

    def _start_reconcile(self, why: str) -> None:
        if self._survey.under_way:
            self._again = why
            return
        logger.debug("reconcile: {}", why)
        self._again = ""
        if self._next:
            self._next.cancel()  # this is it; what comes after is planned at its end
            self._next = None
        self._began = self.system.clock.monotonic()
        self.tell_after(survey.LIMIT_S, self._survey.begin())
        self.system.directory.tell("firewall", CheckFirewall())

    @handles(InstancesListed, RegistrationsListed, survey.Late)
    def _listed(self, message: InstancesListed | RegistrationsListed | survey.Late) -> None:
        self._survey.take(message)
        if not self._parts.roster.is_complete:
            self._adopt_at_once(self._survey.shown())
        found = self._survey.result(self._desired(), self._planned())
        if found:
            self._compare(found)

    @handles(WorkFailed)
    def _work_failed(self, message: WorkFailed) -> None:
        raise message.error

    def _adopt_at_once(self, shown: Mapping[str, Marks]) -> None:
        """Take over what LXD shows after a start: guests wait to be heard, and not for GitHub."""
        new = shown.keys() - {entry.name for entry in self._parts.roster.all()}
        for name in sorted(new):
            self._adopt(name, shown[name])
        if new:
            self._reconcile_after(_SOON_S, _LEARN)

    def _compare(self, found: Found) -> None:
        duration_s = self.system.clock.monotonic() - self._began
        plan = None if found.lxd_fault else self._repair_what_differs(found)
        self._account.tell_of_reconcile(self._desired(), duration_s, found.trouble)
        self._plan_next(plan)
        self._show()

    def _repair_what_differs(self, found: Found) -> Plan:
        self._may_create = True
        limits = self._parts.settings.config.limits
        plan = planning.reconcile(
            self._desired(),
            self._planned(),
            found.as_planned(),
            suspicion=self._suspicion,
            now=self._now(),
            limits=Patience(offline=limits.offline, ready=limits.ready),
        )
        self._suspicion = plan.suspicion
        for name in plan.adopt:
            self._adopt(name, found.instances[name])
        self._parts.roster.is_complete = True
        self._repair(plan)
        self._carry_out(plan)
        return plan

    def _plan_next(self, plan: Plan | None) -> None:
        """Say when both sides are to be listed again, after a plan, or none for want of a list."""
        interval = self._parts.settings.config.reconcile_interval
        if self._again:
            self._start_reconcile(self._again)
        elif plan is None:
            # Nothing was repaired, and the operator is told so for as long as it isn't.
            again_s = min(_LISTING_AGAIN_S, interval.total_seconds())
            self._reconcile_after(again_s, "LXD's list could not be had")
        elif plan.adopt:
            # Only now is there somebody to hear what GitHub says of them.
            self._reconcile_after(_SOON_S, _LEARN)
        elif plan.list_again is not None and plan.list_again < interval:
            soon_s = plan.list_again.total_seconds()
            self._reconcile_after(soon_s, "to confirm what the last one suspected")
        else:
            self._reconcile_after(interval.total_seconds(), "the interval")

    def _reconcile_after(self, delay_s: float, why: str) -> None:
        now = self.system.clock.monotonic()
        if self._next:
            if self._next_due <= now + delay_s:
                return  # such as for what appeared while the last one was under way
            self._next.cancel()
        self._next_due = now + delay_s
        self._next = self.tell_after(delay_s, Reconcile(why))

    def _repair(self, plan: Plan) -> None:
        directory = self.system.directory
        for registration in plan.unregister:
            said = logger.bind(runner=registration.name)
            said.info("registration {} has no instance: deleting it", registration.name)
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
        if message.life.stage is Stage.READY:
            self._reconcile_after(self._confirmation_delay_s(), "to see whether it is online")
        elif message.life.stage in _TO_BE_SUCCEEDED:
            why = "a runner will be succeeded by another"
            self.system.directory.tell("upgrades", CheckUpgrades(_UPGRADES_FRESH_S, why))
        if message.life.stage is Stage.FAILED:
            self._account.note_failure(message)
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

    def _confirmation_delay_s(self) -> float:
        """Say how soon after a guest is ready GitHub is asked whether it is online."""
        if self._trials.pace.failures and self._trials.pace.stage in AVAILABLE:
            return _CONFIRM_SOON_S  # others wait for it
        return self._parts.settings.config.limits.ready.total_seconds() / 2

    def _carry_out(self, plan: Plan) -> None:
        # Before it is known what a runner is made from, all would seem to be outdated; which is of
        # no account where none is wanted.
        knows_blueprint = self._needs.knows_blueprint(self._parts.settings.config)
        may_retire = knows_blueprint or not self._desired().count
        for name, why in plan.retire if may_retire else ():
            order = lifecycle.DeletionOrdered(why)
            self.system.directory.tell(name, Happened(order))
        if plan.retire_again:
            self._balance_after(plan.retire_again)
        lives = (entry.life for entry in self._parts.roster.all())
        if wait := self._trials.outlast(lives, self._now()):
            self._balance_after(wait)
        application = self._needs.application.application
        is_due = plan.create and self._may_create and self._github.open
        if application is None or not is_due or self._lacks():
            return
        proven = self._github.proven
        for _ in range(
            self._trials.pace.admit(plan.create, self._planned(), self._now(), proven=proven)
        ):
            self._create_runner(application)
        if delay := self._trials.pace.delay(self._now()):
            self._balance_after(delay)

    def _balance_after(self, delay: timedelta) -> None:
        due = self.system.clock.monotonic() + delay.total_seconds()
        if self._delayed:
            if self._delayed_due <= due:
                return
            self._delayed.cancel()
        self._delayed_due = due
        self._delayed = self.tell_after(delay.total_seconds(), _Balance())

    def _register_ahead(self) -> None:
        """Have those registered that will be created as soon as others are gone."""
        github = self._github
        may_create = self._may_create and not self._lacks()
        if self._trials.pace.is_open or not (may_create and github.open and github.proven):
            return
        soon = planning.to_register_ahead(self._desired(), self._planned())
        while len(self._registered_ahead) < min(soon, self._trials.pace.at_once):
            blueprint = self._current_blueprint()
            name = naming.new_runner_name(blueprint.installation)
            self._registered_ahead.append(name)
            order = RegisterAhead(name, blueprint.labels, blueprint.group, blueprint.place)
            self.system.directory.tell("tokens", order)

    def _create_runner(self, application: Application) -> None:
        blueprint = self._current_blueprint()
        order = Order(blueprint, self._needs.signals, application, self._needs.policy.base)
        if self._registered_ahead:
            name = self._registered_ahead.popleft()
        else:
            name = naming.new_runner_name(blueprint.installation)
        life = Life(Stage.REQUESTED, self._now(), "its actor is being started")
        self._trials.begin(name, life.since)
        entry = Entry(name, blueprint.generation, life, place=blueprint.place)
        self._start_runner(entry, order)

    def _adopt(self, name: str, found: Marks) -> None:
        # As it is, or the others would look as if they served nobody yet when the first has spoken.
        taken = lifecycle.adopt(found.seen.moved(-offset(self.system.clock)), self._now())
        life = replace(taken.life, reason="its actor is being started")
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
        self._survey.note_actor(name)
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
        if isinstance(message.error, (ChildAlreadyStarted, ChildAlreadyPresent)):
            return  # it has an actor, or will have it again: its supervisor sees to that
        if isinstance(message.operation, StartChild):
            name = message.operation.spec.id
            logger.bind(runner=name).error("a runner's actor did not start: {}", message.error)
            self._parts.roster.drop(name)
            self._trials.did_not_start(name, message.error, self._now())
            self._balance(_Balance())

    # What is seen of it, and what it goes by.

    def _show(self) -> None:
        self._account.show(self._lacks(), self._github)

    def _lacks(self) -> str:
        """Say what is missing before a runner can be created, beside GitHub."""
        return self._needs.lacking(self._parts.settings.config)

    def _current_blueprint(self) -> Blueprint:
        config = self._parts.settings.config
        if self._blueprint is None or self._blueprint[0] is not config:
            self._blueprint = (config, self._needs.blueprint(config))
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
            room=self._room(config),
        )

    def _room(self, config: Config) -> int | None:
        """Say how many instances there may be at once in a pool of our own."""
        room = storage.room(config)
        if room is None:
            return None
        here = {entry.generation for entry in self._parts.roster.all()}
        kept = {g: one for g, one in self._rooms.items() if g in here}
        self._rooms = {**kept, self._current_blueprint().generation: room}
        return storage.at_once(room, self._rooms.values())

    def _planned(self) -> list[planning.Runner]:
        return [entry.as_planned() for entry in self._parts.roster.all()]

    def _now(self) -> datetime:
        return self.system.clock.steady()
