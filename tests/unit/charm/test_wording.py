"""The unit's status: one plain sentence, whatever the daemon says."""

from typing import Any

import pytest
import wording
from hypothesis import given
from hypothesis import strategies as st
from wording import Sentence

from supervisor.causes import Cause

UNIT = "runners/0"
STAGES = (
    "requested", "creating", "booting", "ready", "idle", "busy", "retiring", "finished", "failed",
)  # fmt: skip


def said(wanted: int = 3, **rest: Any) -> Sentence:
    return wording.of_fleet({"wanted": wanted, **rest}, UNIT)


@pytest.mark.parametrize(
    ("stages", "kind", "text"),
    [
        ({"idle": 2, "busy": 1}, "active", "3 of 3 runners online: 2 idle, 1 busy"),
        ({"idle": 3}, "active", "3 of 3 runners online: 3 idle"),
        ({"busy": 3}, "active", "3 of 3 runners online: 3 busy"),
        (
            {"idle": 1, "busy": 1, "booting": 1},
            "active",
            "2 of 3 runners online: 1 idle, 1 busy; 1 coming",
        ),
        ({"creating": 2, "requested": 1}, "waiting", "0 of 3 runners online; 3 coming"),
        ({"ready": 2, "idle": 1}, "active", "3 of 3 runners online: 2 ready, 1 idle"),
        ({}, "waiting", "0 of 3 runners online"),
        ({"busy": 5}, "active", "5 of 3 runners online: 5 busy"),
        ({"idle": 2, "finished": 1}, "active", "2 of 3 runners online: 2 idle"),
    ],
)
def test_runners_are_counted_in_words(stages: dict[str, int], kind: str, text: str) -> None:
    assert said(stages=stages) == Sentence(kind, text)


def test_nothing_is_missing_where_no_runners_are_wanted() -> None:
    assert said(0) == Sentence("active", "no runners are wanted")
    assert said(0, stages={"busy": 1}) == Sentence("active", "1 of 0 runners online: 1 busy")


def test_a_problem_that_costs_runners_has_the_unit_wait() -> None:
    found = said(stages={"idle": 2}, problems=["events: reconnecting: LXD is down"])
    assert found == Sentence(
        "waiting", "2 of 3 runners online: 2 idle; problem: events: reconnecting: LXD is down"
    )


def test_a_problem_that_costs_none_is_told_while_the_unit_is_active() -> None:
    found = said(stages={"idle": 3}, problems=["the token expires in 3 days: set another"])
    assert found == Sentence(
        "active",
        "3 of 3 runners online: 3 idle; problem: the token expires in 3 days: set another",
    )


REFUSED = (
    "tokens: failing: could not list the runners: GitHub answered 401: Bad credentials; the "
    "classic personal access token is wrong, expired or revoked; set another"
)
REJECTED = {"github": {"cause": str(Cause.CREDENTIAL_REJECTED)}}


@pytest.mark.parametrize(
    ("asks", "option"),
    [
        ("classic personal access token", "token-secret-id"),
        ("GitHub App Iv23li", "github-app-private-key-secret-id"),
    ],
)
def test_a_refused_credential_blocks_the_unit_whatever_is_online(asks: str, option: str) -> None:
    problems = ["fleet: degraded: waits for GitHub", REFUSED]
    rest = {"problems": problems, "parts": REJECTED, "github": {"credential": asks}}
    found = said(2, stages={"idle": 2}, **rest)
    assert found == Sentence(
        "blocked",
        f"GitHub refuses the {asks} (401), and no runner can be made: it is wrong, expired or "
        f"revoked; `juju update-secret` with another, or `juju config runners {option}=SECRET`; "
        "2 of 2 runners online: 2 idle",
    )


def test_a_credential_that_only_a_former_place_refuses_blocks_nothing() -> None:
    former = "https://github.com/acme: GitHub answered 401: Bad credentials"
    parts = {"github": {"cause": ""}}
    assert said(stages={"idle": 3}, problems=[former], parts=parts).kind == "active"


def test_of_a_daemon_that_tells_no_cause_a_refused_credential_is_a_problem_like_others() -> None:
    parts = {"github": {"in_place": False, "state": "failing"}}
    found = said(stages={"idle": 2}, problems=[REFUSED], parts=parts)
    assert (found.kind, "GitHub answered 401" in found.text) == ("waiting", True)


def test_of_many_problems_the_first_is_told_and_where_the_others_are() -> None:
    found = said(stages={}, problems=["one", "two", "three"])
    assert found.text.endswith("problem: one (and 2 more: `juju run runners/0 tree`)")


def test_warnings_are_told_where_there_is_no_problem() -> None:
    reboot = "a reboot is needed after `supervisor-cli drain` (3 runners, 1 at work): kernel"
    found = said(stages={"idle": 3}, warnings=[reboot, "image: old"])
    assert found == Sentence(
        "active",
        f"3 of 3 runners online: 3 idle; warning: {reboot} (and 1 more: `juju run runners/0 tree`)",
    )
    assert "warning" not in said(stages={}, problems=["p"], warnings=["w"]).text


def test_a_drain_is_told_with_what_ends_it() -> None:
    since = "2026-11-30T12:34:56.789+00:00"
    rest = "`supervisor-cli resume` on the machine keeps runners again"
    assert said(stages={"busy": 2, "finished": 1}, draining_since=since) == Sentence(
        "maintenance", f"draining since 2026-11-30 12:34 UTC, 3 left, 2 busy; {rest}"
    )
    assert said(stages={}, draining_since=since) == Sentence(
        "maintenance", f"drained, no runner is left; {rest}"
    )


@pytest.mark.parametrize("state", ["", "inactive/dead", "deactivating/stop", "nonsense"])
def test_a_daemon_that_does_not_run_is_told_with_where_to_look(state: str) -> None:
    found = wording.of_silence(state)
    assert found.kind == "blocked"
    assert found.text.startswith("the daemon does not run")
    assert "journalctl" in found.text


def test_a_daemon_that_failed_without_a_word_is_told_so() -> None:
    assert "it does not say why" in wording.of_silence("failed/failed").text


@given(
    status=st.fixed_dictionaries(
        {
            "wanted": st.integers(0, 10_000),
            "stages": st.dictionaries(st.sampled_from(STAGES), st.integers(0, 10_000)),
            "problems": st.lists(st.text(max_size=2000), max_size=3),
            "parts": st.just(REJECTED) | st.just({}) | st.just({"github": {"cause": ""}}),
            "github": st.fixed_dictionaries({"credential": st.text(max_size=2000)}),
            "warnings": st.lists(st.text(max_size=2000), max_size=3),
        }
    )
)
def test_whatever_the_daemon_says_becomes_one_short_line(status: dict[str, Any]) -> None:
    found = wording.of_fleet(status, UNIT)
    assert (found.kind == "blocked") == (status["parts"] is REJECTED)
    assert found.text.isprintable()  # a NUL would be the end of `status-set`
    assert 0 < len(found.text) <= 400


@given(words=st.text(max_size=3000), keeps=st.booleans())
def test_whatever_is_wrong_becomes_one_short_line(words: str, keeps: bool) -> None:
    for found in (
        wording.refused(words, keeps=keeps),
        wording.disabled(words),
        wording.of_silence(words),
        wording.of_silence(f"failed/failed: {words}"),
        wording.set_back("0.2.0", words, "0.1.0", answers=keeps, rest=[words, words]),
        wording.with_warning(Sentence("active", "well"), f"warning {words}"),
    ):
        assert found.text.isprintable()
        assert len(found.text) <= 400


@given(words=st.text(max_size=3000), reason=st.text("abc ", max_size=600))
def test_after_a_setback_words_are_cut_and_commands_are_not(words: str, reason: str) -> None:
    refusal = f"vm-memory: {reason}; `juju config runners vm-memory=16GiB`"
    version, former = "0.2.0-3f2a91c04b7e", "0.1.0-91c04b7e3f2a"
    found = wording.set_back(version, words, former, answers=True, rest=[refusal, "well"])
    assert "until `juju refresh` brings another revision; vm-memory: " in found.text
    assert "; `juju config runners vm-memory=16GiB`" in found.text
    assert len(found.text) <= 400


def test_after_a_setback_the_command_that_shows_more_is_not_cut() -> None:
    fleet = said(stages={}, problems=["no room " * 40, "other"]).text
    found = wording.set_back("0.2", "words " * 99, "0.1", answers=True, rest=["refused", fleet])
    assert found.text.endswith("… (and 1 more: `juju run runners/0 tree`)")


def test_a_setback_with_little_to_tell_is_told_whole() -> None:
    found = wording.set_back("0.2", "no socket", "0.1", answers=True, rest=["a", "b"])
    assert found.text == (
        "version 0.2 did not come up: no socket; 0.1 runs on, until `juju refresh` brings another "
        "revision; a; b"
    )


def test_a_warning_is_left_out_where_something_worse_is_told() -> None:
    blocked = wording.disabled("no room")
    assert wording.with_warning(blocked, "old") == blocked
    assert wording.with_warning(Sentence("active", "well"), "") == Sentence("active", "well")
