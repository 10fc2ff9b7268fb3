"""Guests that only try an image, and who waits for what they report."""

import threading
from typing import Any

import pytest

from supervisor.config import parse
from supervisor.guest.network import GuestNetwork
from supervisor.lifecycle import Event, Failed, GuestFinished, GuestReady
from supervisor.runners.visitors import Trial, Visitors
from supervisor.upgrades.application import Application

GUEST = "fleet-image-trial"
APPLICATION = Application("https://example.com/runner.tar.gz", "ab" * 32, "runner.tar.gz")


def outcome(*events: Event) -> str:
    visitors = Visitors()
    visitors.expect(GUEST)
    for event in events:
        visitors.hear(GUEST, event)
    return visitors.outcome(GUEST, limit_s=0.01)


def test_a_guest_that_was_ready_and_finished_without_a_fault_is_well() -> None:
    assert outcome(GuestReady(), GuestFinished("0")) == ""


@pytest.mark.parametrize(
    ("events", "fault"),
    [
        ((), "it has not reported that it is ready within 0.01 s"),
        ((GuestReady(),), "it has not finished its trial within 0.01 s"),
        (
            (GuestReady(), GuestFinished("127")),
            "the runner application can't be run in it: exit code 127",
        ),
        ((GuestFinished("0"),), "it has finished without a report that it is ready"),
        ((Failed("the guest says: no"),), "the guest says: no"),
        ((GuestReady(), Failed("the guest says: no"), GuestFinished("0")), "the guest says: no"),
    ],
)
def test_what_is_wrong_with_a_guest_is_said(events: tuple[Event, ...], fault: str) -> None:
    assert outcome(*events) == fault


def test_who_waits_hears_of_the_end_at_once() -> None:
    visitors = Visitors()
    visitors.expect(GUEST)
    visitors.hear(GUEST, GuestReady())
    later = threading.Timer(0.05, visitors.hear, (GUEST, GuestFinished("0")))
    later.start()
    assert visitors.outcome(GUEST, limit_s=10) == ""
    later.join()


def test_a_guest_is_recognised_by_its_own_token_and_only_while_it_is_expected() -> None:
    visitors = Visitors()
    token = visitors.expect(GUEST)
    other = visitors.expect("fleet-other")
    assert visitors.recognises(GUEST, token)
    for name, shown in ((GUEST, other), (GUEST, ""), ("nobody", token), ("nobody", "")):
        assert not visitors.recognises(name, shown)
    visitors.forget(GUEST)
    assert not visitors.recognises(GUEST, token)
    visitors.forget(GUEST)


def test_a_guest_that_was_waited_for_is_forgotten_by_who_expected_it() -> None:
    visitors = Visitors()
    token = visitors.expect(GUEST)
    assert visitors.outcome(GUEST, limit_s=0)
    assert visitors.recognises(GUEST, token)


def test_what_nobody_expects_is_as_good_as_not_said() -> None:
    visitors = Visitors()
    visitors.hear(GUEST, GuestReady())
    assert visitors.outcome(GUEST, limit_s=0) == "nobody expected it"


def script(**changes: Any) -> str:
    config = parse({"name": "fleet", "path": "acme", "token": "s", **changes}, "x")
    visitors = Visitors()
    trial = Trial(visitors, config, "http://10.0.0.1:8642", APPLICATION, GuestNetwork())
    return trial.parameters(GUEST)


def test_a_trial_gives_its_guest_all_that_a_runner_has_but_a_registration() -> None:
    given = script()
    assert "JIT_CONFIG=''\n" in given
    assert f"SIGNAL_URL=http://10.0.0.1:8642/v1/runners/{GUEST}/signals\n" in given
    assert f"APPLICATION_SHA256={'ab' * 32}\n" in given


@pytest.mark.parametrize(
    ("policy", "url"),
    [
        ({"mode": "off"}, "''"),
        ({}, "http://10.0.0.1:8643"),
        (
            {"mode": "external", "url": "https://policy.example.com", "token": "abc"},
            "https://policy.example.com",
        ),
    ],
)
def test_a_trial_takes_the_tools_that_ask_the_policy_where_there_is_one(
    policy: dict[str, str], url: str
) -> None:
    assert f"POLICY_URL={url}\n" in script(policy=policy)


def test_a_trial_waits_for_its_own_guest() -> None:
    visitors = Visitors()
    config = parse({"name": "fleet", "path": "acme", "token": "s"}, "x")
    trial = Trial(visitors, config, "http://10.0.0.1:8642", APPLICATION, GuestNetwork())
    trial.parameters(GUEST)
    visitors.hear(GUEST, GuestReady())
    visitors.hear(GUEST, GuestFinished("0"))
    assert trial.wait(GUEST, 0) == ""
