from __future__ import annotations

import hashlib

import pytest
from tokens_stage import Stage

from sandbox.github import Fault, SandboxGitHub
from supervisor.messages.configuration import ConfigChanged
from supervisor.messages.tokens import (
    AnnounceGitHub,
    ApplicationNotOffered,
    ApplicationOffered,
    AskApplication,
    JitConfigMade,
    ListRegistrations,
)
from supervisor.messages.upgrades import GitHubReachable

UNVERIFIABLE = """[{"os": "linux", "architecture": "x64", "filename": "r-2.301.0.tar.gz",
    "download_url": "https://github.example/r-2.301.0.tar.gz"}]"""


def test_the_application_is_what_github_offers(stage: Stage, sandbox: SandboxGitHub) -> None:
    stage.tell(AskApplication())
    offered = stage.offered()
    assert isinstance(offered, ApplicationOffered)
    assert offered.application.version == "2.300.0"
    assert offered.application.sha256 == hashlib.sha256(b"an application").hexdigest()


def test_an_unchanged_offer_costs_no_call_of_the_budget(stage: Stage) -> None:
    stage.tell(AskApplication())
    first = stage.offered()
    left = stage.world.details("tokens")["budget"]["core"]["remaining"]
    for _ in range(3):
        stage.tell(AskApplication())
        assert stage.offered() == first
    assert stage.world.details("tokens")["budget"]["core"]["remaining"] == left


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("[]", "GitHub offers no runner application for linux on x64"),
        (
            UNVERIFIABLE,
            "GitHub gives no SHA-256 for r-2.301.0.tar.gz: it can't be verified",
        ),
    ],
)
def test_an_offer_that_can_not_be_used_stops_no_registration(
    stage: Stage, sandbox: SandboxGitHub, body: str, reason: str
) -> None:
    sandbox.faults.add(Fault(path_pattern="*/downloads", status=200, body=body, times=None))
    stage.tell(AskApplication())
    assert stage.offered() == ApplicationNotOffered(reason)
    stage.tell(stage.order())
    assert isinstance(stage.heard(), JitConfigMade)


def test_who_asks_for_an_application_in_an_outage_hears_that_others_tell_of_it(
    stage: Stage, sandbox: SandboxGitHub
) -> None:
    sandbox.faults.add(Fault(status=502, times=None))
    stage.tell(AskApplication())
    answer = stage.offered()
    assert isinstance(answer, ApplicationNotOffered)
    assert answer.outage
    assert "could not list runner applications" in answer.reason


def test_it_is_looked_for_again_once_github_can_be_asked_again(
    stage: Stage, sandbox: SandboxGitHub
) -> None:
    stage.tell(AnnounceGitHub())
    outage = sandbox.faults.add(Fault(status=502, times=None))
    stage.tell(ListRegistrations(1))
    stage.listed()
    assert not stage.upgrades  # at the start nobody has asked in vain
    stage.tell(AskApplication())
    assert isinstance(stage.offered(), ApplicationNotOffered)
    sandbox.faults.remove(outage)
    stage.pass_until(lambda: stage.upgrades)
    assert stage.upgrades == [GitHubReachable()]


def test_an_offer_of_a_place_that_was_left_meanwhile_is_not_used(
    stage: Stage, sandbox: SandboxGitHub
) -> None:
    sandbox.faults.add(Fault(path_pattern="*/downloads", delay_s=0.3))
    stage.tell(AskApplication())
    stage.world.reconfigure(path="acme/demo")
    stage.tell(ConfigChanged(stage.world.parts.settings.config))
    moved = "the place of registration has changed meanwhile"
    assert stage.offered() == ApplicationNotOffered(moved, outage=True)
