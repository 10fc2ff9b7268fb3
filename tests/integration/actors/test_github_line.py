from __future__ import annotations

import time
from itertools import pairwise

from tokens_stage import NAME, Stage, register
from waiting import eventually

from sandbox.github import Fault, SandboxGitHub
from supervisor import lifecycle
from supervisor.messages.tokens import (
    AskApplication,
    JitConfigMade,
    ListRegistrations,
    RegistrationsListed,
)


def test_registrations_go_before_the_look_for_an_application(
    stage: Stage, sandbox: SandboxGitHub
) -> None:
    sandbox.faults.add(Fault("GET", "*/actions/runners", delay_s=0.3))
    stage.tell(ListRegistrations(1))  # under way while the others come to wait
    stage.tell(AskApplication())
    stage.tell(stage.order())
    eventually(lambda: stage.upgrades)  # while no time passes: none has waited for long
    purposes = [call.path.rpartition("/")[2] for call in sandbox.calls()]
    assert purposes == ["runners", "generate-jitconfig", "downloads"]


def test_a_registration_goes_before_the_next_page_of_a_listing(
    stage: Stage, sandbox: SandboxGitHub
) -> None:
    for n in range(230):
        register(sandbox, f"other-{n}")
    first_page = sandbox.faults.add(Fault("GET", "*/actions/runners", delay_s=0.5))
    stage.tell(ListRegistrations(1))
    eventually(lambda: sandbox.faults.hits(first_page) == 1)
    stage.tell(stage.order())
    eventually(lambda: stage.runner)  # while no time passes: the list has not waited for long
    assert len(stage.listed().registrations) == 231
    purposes = [call.path.rpartition("/")[2] for call in sandbox.calls()]
    assert purposes[230:] == ["runners", "generate-jitconfig", "runners", "runners"]


def test_a_listing_that_has_not_changed_costs_nothing(stage: Stage, sandbox: SandboxGitHub) -> None:
    stage.tell(stage.order())
    stage.heard()
    stage.tell(ListRegistrations(1))
    first = stage.listed()
    stage.tell(ListRegistrations(2))
    stage.listed()  # what the first one cost is shown by now
    before = stage.budget()["core"]["remaining"]
    for ticket in range(3, 8):
        stage.tell(ListRegistrations(ticket))
        assert stage.listed().registrations == first.registrations
    assert stage.budget()["core"]["remaining"] == before


def test_one_call_is_made_at_a_time_whatever_is_asked_for(
    stage: Stage, sandbox: SandboxGitHub
) -> None:
    took_s = 0.05
    sandbox.faults.add(Fault(delay_s=took_s, times=None))
    stage.tell(stage.order())
    for number in range(4):
        stage.tell(ListRegistrations(number))
        stage.tell(stage.ahead(f"fleet-{number}"))
        stage.tell(stage.deletion(4000 + number, NAME))
    stage.pass_until(lambda: any(one.ticket == 3 for one in stage.told(RegistrationsListed)))
    stage.pass_until(lambda: len(sandbox.runners()) == 5)
    begun = sorted(call.at for call in sandbox.calls())
    assert len(begun) >= 6
    apart = [(later - earlier).total_seconds() for earlier, later in pairwise(begun)]
    assert min(apart) >= took_s


def test_calls_kept_for_runners_are_not_spent_on_listings_but_a_gate_opens_by_them(
    stage: Stage, sandbox: SandboxGitHub
) -> None:
    left = {"x-ratelimit-limit": "5000", "x-ratelimit-remaining": "200"}
    left["x-ratelimit-reset"] = str(int(time.time()) + 3000)
    sandbox.faults.add(Fault("DELETE", status=502, headers=left, times=None))
    stage.tell(stage.deletion(5, NAME))
    assert isinstance(stage.heard().event, lifecycle.UnregistrationRefused)
    stage.pass_until(lambda: (gate := stage.gate()) and gate.open)
    stage.tell(stage.order())
    assert isinstance(stage.heard(), JitConfigMade)


def test_a_call_answered_drop_by_drop_is_given_up(stage: Stage, sandbox: SandboxGitHub) -> None:
    drip = sandbox.faults.add(Fault("GET", "*/actions/runners", drip_s=8))
    stage.tell(ListRegistrations(1))
    eventually(lambda: sandbox.faults.hits(drip) == 1)
    stage.world.clock.advance(61)
    listed = stage.listed()  # asked again, as reads are
    assert (listed.error, listed.registrations) == ("", ())
