"""The policy's actor, with what its work finds in the work's place."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from fake_actors import Inbox
from fake_world import World
from waiting import eventually

from supervisor.actors.policy import PolicyActor
from supervisor.gateways.decision_log import Tally
from supervisor.gateways.policy_process import Seen
from supervisor.gateways.policy_service import _Run
from supervisor.lifecycle import Job, JobUnchecked, Life, Stage
from supervisor.messages.configuration import ConfigChanged
from supervisor.messages.policy import AnnouncePolicy, PolicyChanged
from supervisor.messages.runner import Happened
from supervisor.messages.upgrades import (
    AnnouncePolicyPackage,
    PolicyPackageChanged,
    PolicyPackageFailed,
    PolicyPackageProven,
)
from supervisor.policy.token_desk import Signer
from supervisor.policy_service.decisions import Decision, DecisionLog
from supervisor.runners.roster import Entry
from supervisor.supervision import ChildSpec, Crash
from supervisor.work import policy as policy_work
from supervisor.work.policy import Examined, NotServed, Served

MakeWorld = Callable[..., World]
BASE = "http://127.0.0.1:8643"
URL = "https://policy.example"
EXTERNAL = {"mode": "external", "url": URL, "token": "charm"}
WELL = PolicyChanged(healthy=True, base=BASE)


class Process:
    """A process of the service, as far as the actor sees it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.alive = True
        self.killed: list[int] = []
        self.ended: Callable[[Any], object] = lambda _: None

    def look(self) -> Seen:
        return Seen(master_stopped=False, workers=2, stopped=frozenset())

    def kill(self) -> None:
        self.die()

    def kill_worker(self, pid: int) -> None:
        self.killed.append(pid)

    def end(self) -> None:
        self.alive = False

    def epitaph(self) -> str:
        return "the policy service has ended with 1: no room"

    def die(self) -> None:
        self.alive = False
        self.ended(self)


class Service:
    """What the work finds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.processes: list[Process] = []
        self.programs: list[tuple[str, ...]] = []
        self.failure = ""
        self.fault = ""
        self.deaf: set[int] = set()
        self.trouble = ""
        self.seen = Seen(master_stopped=False, workers=2, stopped=frozenset())
        self.stamp = "a"
        self.examinations = 0
        self.asked: list[int] = []
        self.issues = True
        self.again = False
        self.signer = Signer(b"0123456789abcdef", timedelta(days=2))
        monkeypatch.setattr(policy_work, "ensure", self._ensure)
        monkeypatch.setattr(policy_work, "examine", self._examine)
        monkeypatch.setattr(policy_work, "examine_external", self._examine_external)

    @property
    def process(self) -> Process:
        return self.processes[-1]

    def _ensure(
        self, _lxd: Any, service: Any, config: Any, now: Any, ended: Any, program: Any
    ) -> Any:
        self.programs.append(program)
        if self.failure:
            return NotServed(self.failure)
        if not self.processes or not self.process.alive or self.again:
            self.again = False
            self.processes.append(Process(1000 + len(self.processes)))
            self.process.ended = ended
            service._before = service._run
            service._run = _Run(self.process, "", b"")
        if service.process is not self.process:
            return Served(BASE, service.process.pid, self.signer, now + timedelta(days=1), "a")
        later = now + timedelta(days=1)
        return Served(BASE, self.process.pid, self.signer, later, self.stamp)

    def _examine(self, s: Any, _c: Any, _base: str, verdicts: Any, clock: Any, ticket: int) -> Any:
        self.examinations += 1
        verdicts.read(clock)
        fault = "connection refused" if s.process.pid in self.deaf else self.fault
        return Examined(ticket, fault, self.trouble, self.seen, Tally(), self.stamp)

    def _examine_external(self, _config: Any, wanted: int, ticket: int) -> Examined:
        self.examinations += 1
        self.asked.append(wanted)
        tokens = [f"t{self.examinations}-{n}" for n in range(wanted)] if self.issues else []
        return Examined(ticket, self.fault, self.trouble, tokens=tuple(tokens))


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    return Service(monkeypatch)


def start(world: World, **others: list[Any]) -> list[Any]:
    told: list[Any] = []
    world.run(
        ChildSpec("fleet", partial(Inbox.start, world.system, told)),
        *(ChildSpec(one, partial(Inbox.start, world.system, got)) for one, got in others.items()),
        ChildSpec("policy", partial(PolicyActor.start, world.system, world.parts)),
    )
    return told


def builtin(make_world: MakeWorld, **config: Any) -> World:
    return make_world(policy={"mode": "builtin"}, **config)


def let_pass(world: World, holds: Callable[[], object], step: float = 0.25) -> None:
    """Let time pass until something holds."""
    world.pass_until(holds, step)


def test_off_is_a_standing_warning_and_keeps_nobody_waiting(make_world: MakeWorld) -> None:
    world = make_world(policy={"mode": "off"})
    told = start(world)
    eventually(lambda: told == [PolicyChanged(healthy=True)])
    assert world.shown("policy") == ("ready", "policy.mode: off: no job is checked")
    (warning,) = world.details("policy")["warnings"]
    assert warning.startswith("policy.mode: off: every job runs, whoever wrote it: set builtin")


def test_the_fleet_is_told_when_it_answers_and_again_when_it_asks(
    make_world: MakeWorld, service: Service
) -> None:
    world = builtin(make_world)
    told = start(world)
    eventually(lambda: told == [WELL])
    world.tell("policy", AnnouncePolicy())
    eventually(lambda: told == [WELL, WELL])
    assert world.parts.tokens.signs


def test_one_that_can_not_be_started_is_tried_again_ever_more_seldom(
    make_world: MakeWorld, service: Service
) -> None:
    service.failure = "can't listen at 127.0.0.1:8643: Address already in use"
    world = builtin(make_world)
    told = start(world)
    eventually(lambda: told == [PolicyChanged(healthy=False, reason=service.failure)])
    assert world.shown("policy") == ("failing", service.failure)
    service.failure = ""
    world.clock.advance(0.6)
    eventually(lambda: told[-1] == WELL)


def test_the_end_of_the_process_is_told_and_another_is_started_at_once(
    make_world: MakeWorld, service: Service
) -> None:
    world = builtin(make_world)
    told = start(world)
    eventually(lambda: told == [WELL])
    service.process.die()
    ended = PolicyChanged(healthy=False, reason="the policy service has ended with 1: no room")
    let_pass(world, lambda: told == [WELL, ended, WELL], 0.01)
    assert len(service.processes) == 2


def test_one_that_ends_again_and_again_is_started_ever_more_seldom(
    make_world: MakeWorld, service: Service
) -> None:
    world = builtin(make_world)
    told = start(world)
    for count in range(1, 7):
        let_pass(world, lambda: len(service.processes) == count and told[-1:] == [WELL])  # noqa: B023
        service.process.die()
        eventually(lambda: told[-1] != WELL)
    world.clock.advance(7)
    eventually(lambda: world.waiting("policy") == 0)
    assert len(service.processes) == 6
    let_pass(world, lambda: len(service.processes) == 7)


def test_one_that_does_not_answer_is_told_at_once_and_ended_at_the_third_time(
    make_world: MakeWorld, service: Service
) -> None:
    world = builtin(make_world)
    told = start(world)
    eventually(lambda: told == [WELL])
    service.fault = "no answer within 3 s"
    reason = "the policy service does not answer as it should: no answer within 3 s"
    let_pass(world, lambda: told[-1] == PolicyChanged(healthy=False, reason=reason))
    assert service.process.alive
    let_pass(world, lambda: len(service.processes) == 2)
    assert told[-1].reason == reason  # and not that it was killed
    service.fault = ""
    let_pass(world, lambda: told[-1] == WELL)


def test_one_silence_is_no_reason_to_end_it(make_world: MakeWorld, service: Service) -> None:
    world = builtin(make_world)
    told = start(world)
    eventually(lambda: told == [WELL])
    service.fault = "no answer within 3 s"
    let_pass(world, lambda: told[-1] != WELL)
    service.fault = ""
    let_pass(world, lambda: told[-1] == WELL)
    assert len(service.processes) == 1


def test_while_it_starts_its_silence_is_no_fault_for_a_while(
    make_world: MakeWorld, service: Service
) -> None:
    service.fault = "connection refused"
    world = builtin(make_world)
    told = start(world)
    let_pass(world, lambda: service.examinations > 20)
    assert (told, len(service.processes)) == ([], 1)
    assert world.shown("policy") == ("waiting", "the policy service is starting")
    let_pass(world, lambda: len(service.processes) == 2, 1)
    assert not told[-1].healthy


def test_a_service_that_can_not_ask_github_is_not_started_anew(
    make_world: MakeWorld, service: Service
) -> None:
    service.trouble = "GitHub refuses the credential"
    world = builtin(make_world)
    told = start(world)
    reason = "the policy service can't check jobs: GitHub refuses the credential"
    eventually(lambda: told == [PolicyChanged(healthy=False, reason=reason, base=BASE)])
    before = service.examinations
    let_pass(world, lambda: service.examinations > before + 3)
    assert len(service.processes) == 1
    service.trouble = ""
    let_pass(world, lambda: told[-1] == WELL)


def test_a_first_process_that_is_seen_stopped_twice_is_ended(
    make_world: MakeWorld, service: Service
) -> None:
    world = builtin(make_world)
    told = start(world)
    eventually(lambda: told == [WELL])
    service.seen = Seen(master_stopped=True, workers=2, stopped=frozenset())
    let_pass(world, lambda: len(service.processes) == 2)
    assert any("its first process is stopped" in change.reason for change in told)


def test_a_worker_that_is_seen_stopped_twice_is_ended_alone(
    make_world: MakeWorld, service: Service
) -> None:
    world = builtin(make_world)
    told = start(world)
    eventually(lambda: told == [WELL])
    service.seen = Seen(master_stopped=False, workers=2, stopped=frozenset({7}))
    let_pass(world, lambda: 7 in service.process.killed)
    assert (told, len(service.processes)) == ([WELL], 1)


def test_settings_that_can_not_be_used_leave_it_as_it_was(
    make_world: MakeWorld, service: Service
) -> None:
    world = builtin(make_world)
    told = start(world)
    eventually(lambda: told == [WELL])
    service.failure = "policy.document: /p: can't be read"
    world.tell("policy", ConfigChanged(world.parts.settings.config))
    let_pass(world, lambda: world.details("policy")["warnings"] == (service.failure,))
    service.failure = ""
    let_pass(world, lambda: world.details("policy")["warnings"] == ())
    assert told == [WELL]


def test_a_hand_over_is_no_outage_and_its_secret_signs_when_it_answers(
    make_world: MakeWorld, service: Service
) -> None:
    world = builtin(make_world)
    told = start(world)
    eventually(lambda: told == [WELL])
    service.signer = Signer(b"another-secret-x", timedelta(days=2))
    service.again, service.fault = True, "connection refused"
    world.tell("policy", ConfigChanged(world.parts.settings.config))
    eventually(lambda: len(service.processes) == 2)
    let_pass(world, lambda: service.examinations > 5)
    assert world.parts.tokens._signer != service.signer
    assert [process.alive for process in service.processes] == [True, True]
    service.fault = ""
    let_pass(world, lambda: world.parts.tokens._signer == service.signer)
    eventually(lambda: [process.alive for process in service.processes] == [False, True])
    assert told == [WELL]


def hand_over(world: World, service: Service) -> list[Any]:
    """Have another process started, which does not answer."""
    told = start(world)
    eventually(lambda: told == [WELL])
    service.signer = Signer(b"another-secret-x", timedelta(days=2))
    service.again, service.deaf = True, {1001}
    world.tell("policy", ConfigChanged(world.parts.settings.config))
    eventually(lambda: len(service.processes) == 2 and world.waiting("policy") == 0)
    let_pass(world, lambda: service.examinations > 5)
    return told


def test_one_stays_if_its_successor_ends_before_it_has_answered(
    make_world: MakeWorld, service: Service
) -> None:
    world = builtin(make_world)
    told = hand_over(world, service)
    service.process.die()
    ended = "the policy service has ended with 1: no room"
    eventually(lambda: world.details("policy")["warnings"] == (ended,))
    assert world.parts.policy.process is service.processes[0]
    assert service.processes[0].alive
    assert world.parts.tokens._signer != service.signer
    assert told == [WELL]


def test_one_stays_if_its_successor_never_answers(make_world: MakeWorld, service: Service) -> None:
    world = builtin(make_world)
    told = hand_over(world, service)
    let_pass(world, lambda: not service.process.alive, 1)
    eventually(lambda: world.parts.policy.process is service.processes[0])
    assert service.processes[0].alive
    assert told == [WELL]


def test_the_end_of_one_whose_successor_has_not_answered_is_told(
    make_world: MakeWorld, service: Service
) -> None:
    world = builtin(make_world)
    told = hand_over(world, service)
    service.processes[0].die()
    ended = PolicyChanged(healthy=False, reason="the policy service has ended with 1: no room")
    eventually(lambda: told == [WELL, ended])
    service.deaf = set()
    let_pass(world, lambda: told == [WELL, ended, WELL])
    assert len(service.processes) == 2


def test_another_credential_has_it_started_anew(make_world: MakeWorld, service: Service) -> None:
    world = builtin(make_world)
    told = start(world)
    eventually(lambda: told == [WELL])
    service.stamp, service.again = "b", True
    let_pass(world, lambda: len(service.processes) == 2)


def test_a_crash_of_the_actor_ends_nothing(make_world: MakeWorld, service: Service) -> None:
    world = builtin(make_world)
    told = start(world)
    eventually(lambda: told == [WELL])
    world.tell("policy", Crash("a test"))
    eventually(lambda: told == [WELL, WELL])
    assert [process.alive for process in service.processes] == [True]


def test_an_examination_that_does_not_end_is_told(
    make_world: MakeWorld, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = builtin(make_world)
    told = start(world)
    eventually(lambda: told == [WELL])
    gate = world.lxd.hold("an examination")
    examine = service._examine

    def hang(*given: Any) -> Any:
        world.lxd._enter("an examination")
        return examine(*given)

    monkeypatch.setattr(policy_work, "examine", hang)
    let_pass(world, lambda: told[-1].reason == "the policy service takes too long to answer", 1)
    gate.set()
    let_pass(world, lambda: told[-1] == WELL)


# Elsewhere


def test_a_service_elsewhere_is_asked_for_tokens_in_advance(
    make_world: MakeWorld, service: Service
) -> None:
    world = make_world(policy=EXTERNAL, virtual_machines=6)
    told = start(world)
    eventually(lambda: told == [PolicyChanged(healthy=True, base=URL)])
    assert (service.asked[0], world.parts.tokens.stocked(world.clock.now())) == (6, 6)
    for mark in "abc":
        world.parts.tokens.token("fleet-a", mark, "10.0.0.7", world.clock.now())
    eventually(lambda: world.parts.tokens.stocked(world.clock.now()) == 6)
    assert service.asked[-1] == 3


@pytest.mark.parametrize(("runners", "tokens"), [(0, 2), (300, 20)])
def test_how_many_it_has_in_advance_is_limited(
    make_world: MakeWorld, service: Service, runners: int, tokens: int
) -> None:
    world = make_world(policy=EXTERNAL, virtual_machines=runners)
    start(world)
    eventually(lambda: service.asked)
    assert service.asked[0] == tokens


def test_a_service_elsewhere_that_fails_is_told_and_asked_again(
    make_world: MakeWorld, service: Service
) -> None:
    service.fault = "it refuses the token of policy.token (401)"
    world = make_world(policy=EXTERNAL)
    told = start(world)
    reason = f"{URL}: {service.fault}"
    eventually(lambda: told == [PolicyChanged(healthy=False, reason=reason, base=URL)])
    service.fault = ""
    let_pass(world, lambda: told[-1] == PolicyChanged(healthy=True, base=URL))


def test_guests_who_take_tokens_do_not_hurry_a_service_elsewhere_that_fails(
    make_world: MakeWorld, service: Service
) -> None:
    world = make_world(policy=EXTERNAL, virtual_machines=4)
    told = start(world)
    eventually(lambda: told == [PolicyChanged(healthy=True, base=URL)])
    service.fault = "no answer within 3 s"
    let_pass(world, lambda: not told[-1].healthy, 1)
    eventually(lambda: world.waiting("policy") == 0)
    before = service.examinations
    for mark in ("a", "b", "c", "d", "e"):  # one more than there are
        world.parts.tokens.token("fleet-a", mark, "10.0.0.7", world.clock.now())
        eventually(lambda: world.waiting("policy") == 0)
    world.tell("policy", AnnouncePolicy())
    eventually(lambda: told[-1] == told[-2])
    assert service.examinations == before


# Jobs that run though nobody has let them


def busy(world: World, name: str) -> None:
    now = world.clock.steady()
    life = Life(Stage.BUSY, now, job=Job("acme/demo"))
    world.parts.roster.put(Entry(name, "g", life, policy="builtin", made_at=now))


def test_a_job_that_the_service_has_not_allowed_is_ended_and_one_that_it_has_is_not(
    make_world: MakeWorld, service: Service
) -> None:
    world = builtin(make_world)
    let_run: list[Any] = []
    unchecked: list[Any] = []
    told = start(world, passed=let_run, unchecked=unchecked)
    eventually(lambda: told == [WELL])
    busy(world, "passed")
    busy(world, "unchecked")
    log = DecisionLog(world.state / "policy" / "decisions.jsonl")
    log.write(Decision(world.clock.now(), "passed", "acme/demo", "push", "allowed", "", 12, 3))
    began = world.clock.monotonic()
    let_pass(world, lambda: unchecked, 1)
    assert unchecked[0] == Happened(JobUnchecked())
    assert world.clock.monotonic() - began >= 120
    assert let_run == []


@pytest.mark.parametrize("set_by_s", [-3600, 3600])
def test_a_job_that_runs_unchecked_is_ended_though_the_clock_was_set(
    make_world: MakeWorld, service: Service, set_by_s: float
) -> None:
    world = builtin(make_world)
    world.clock.set_by(set_by_s)
    unchecked: list[Any] = []
    told = start(world, unchecked=unchecked)
    eventually(lambda: told == [WELL])
    world.clock.set_by(set_by_s)
    busy(world, "unchecked")
    let_pass(world, lambda: unchecked, 1)
    assert unchecked[0] == Happened(JobUnchecked())


def test_no_job_is_ended_for_what_another_service_has_not_said(
    make_world: MakeWorld, service: Service
) -> None:
    world = make_world(policy=EXTERNAL)
    unchecked: list[Any] = []
    start(world, unchecked=unchecked)
    busy(world, "unchecked")
    before = service.examinations
    let_pass(world, lambda: service.examinations > before + 50, 5)
    assert unchecked == []


# A package of pip's

PACKAGE = {"mode": "package", "package": "demo"}
ONE, TWO = (PolicyPackageChanged(f"/e/{n}", f"demo {n}.0", unproven=n > 1) for n in (1, 2))


def hosted(world: World) -> tuple[list[Any], list[Any]]:
    told: list[Any] = []
    upgrades: list[Any] = []
    world.run(
        ChildSpec("fleet", partial(Inbox.start, world.system, told)),
        ChildSpec("upgrades", partial(Inbox.start, world.system, upgrades)),
        ChildSpec("policy", partial(PolicyActor.start, world.system, world.parts)),
    )
    eventually(lambda: upgrades == [AnnouncePolicyPackage()])
    return told, upgrades


def test_no_package_means_no_runner_and_says_why(make_world: MakeWorld, service: Service) -> None:
    world = make_world(policy=PACKAGE)
    told, _ = hosted(world)
    assert world.shown("policy") == ("waiting", "the policy package has not been looked at yet")
    world.tell("policy", PolicyPackageChanged(reason="pip: no such thing"))
    reason = "policy.package: pip: no such thing"
    eventually(lambda: told == [PolicyChanged(healthy=False, reason=reason)])
    assert service.processes == []
    world.tell("policy", ONE)
    eventually(lambda: told[-1] == WELL)
    assert service.programs[-1][0] == "/e/1/bin/python"
    assert world.details("policy")["version"] == "demo 1.0"


def serving_the_second(world: World, service: Service) -> tuple[list[Any], list[Any]]:
    """Have a new version take the place of one that serves well."""
    told, upgrades = hosted(world)
    world.tell("policy", ONE)
    eventually(lambda: told[-1:] == [WELL])
    service.again = True
    world.tell("policy", TWO)
    eventually(lambda: len(service.processes) == 2)
    let_pass(world, lambda: world.details("policy")["version"] == "demo 2.0")
    upgrades.clear()
    return told, upgrades


def test_another_version_whose_process_fails_is_given_back(
    make_world: MakeWorld, service: Service
) -> None:
    world = make_world(policy=PACKAGE)
    _, upgrades = serving_the_second(world, service)
    let_pass(world, lambda: not world.parts.policy.predecessor, 1)
    failed = PolicyPackageFailed("/e/2", "the policy service has ended with 1: no room")
    service.process.die()
    let_pass(world, lambda: upgrades == [failed], 1)
    let_pass(world, lambda: world.shown("policy")[0] == "ready", 1)
    service.process.die()  # it was not given back
    let_pass(world, lambda: upgrades == [failed, failed], 1)


def test_whose_fault_the_trouble_of_another_version_is_others_find_out_ever_more_seldom(
    make_world: MakeWorld, service: Service
) -> None:
    world = make_world(policy=PACKAGE)
    _, upgrades = serving_the_second(world, service)
    service.trouble = "GitHub is away"
    failed = PolicyPackageFailed("/e/2", "GitHub is away", trouble=True)
    let_pass(world, lambda: upgrades == [failed], 1)
    began = world.clock.monotonic()
    let_pass(world, lambda: world.clock.monotonic() - began >= 175, 5)
    assert upgrades == [failed] * 2


def test_another_version_is_proven_when_it_is_well_after_its_time(
    make_world: MakeWorld, service: Service
) -> None:
    world = make_world(policy=PACKAGE)
    told, upgrades = serving_the_second(world, service)
    let_pass(world, lambda: upgrades, 5)
    assert upgrades == [PolicyPackageProven("/e/2")]
    service.trouble = "GitHub is away"
    let_pass(world, lambda: not told[-1].healthy, 1)
    service.process.die()
    let_pass(world, lambda: len(service.processes) == 3, 1)
    assert upgrades == [PolicyPackageProven("/e/2")]


def test_a_version_that_was_not_proven_is_given_back_after_a_start_too(
    make_world: MakeWorld, service: Service
) -> None:
    world = make_world(policy=PACKAGE)
    told, upgrades = hosted(world)
    world.tell("policy", TWO)
    eventually(lambda: told[-1:] == [WELL])
    service.process.die()
    let_pass(world, lambda: len(upgrades) == 2, 1)
    assert upgrades[1].environment == "/e/2"


def test_one_that_has_served_well_or_has_none_before_it_is_kept(
    make_world: MakeWorld, service: Service
) -> None:
    world = make_world(policy=PACKAGE)
    told, upgrades = hosted(world)
    service.trouble = "GitHub is away"
    world.tell("policy", ONE)
    eventually(lambda: told and not told[-1].healthy)
    service.process.die()
    let_pass(world, lambda: len(service.processes) == 2, 1)
    assert upgrades == [AnnouncePolicyPackage()]


def test_a_package_that_is_gone_leaves_what_runs(make_world: MakeWorld, service: Service) -> None:
    world = make_world(policy=PACKAGE)
    told, _ = hosted(world)
    world.tell("policy", ONE)
    eventually(lambda: told == [WELL])
    world.tell("policy", PolicyPackageChanged(reason="it is being installed"))
    warning = "policy.package: it is being installed"
    let_pass(world, lambda: world.details("policy")["warnings"] == (warning,))
    assert told == [WELL]
