"""The few classes that label values are put into."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.causes import Cause
from supervisor.lifecycle import Stage
from supervisor.metrics import classes


@pytest.mark.parametrize(
    ("cause", "stage", "expected"),
    [
        (Cause.GITHUB_UNAVAILABLE, Stage.REQUESTED, "github"),
        (Cause.CREDENTIAL_REJECTED, Stage.REQUESTED, "github"),
        (Cause.UNKNOWN, Stage.REQUESTED, "github"),  # nobody else is asked anything then
        (Cause.NO_SPACE, Stage.CREATING, "lxd"),
        (Cause.LXD_UNAVAILABLE, Stage.CREATING, "lxd"),
        (Cause.TIMED_OUT, Stage.REQUESTED, "timeout"),
        (Cause.TIMED_OUT, Stage.BOOTING, "timeout"),
        (Cause.STOPPED, Stage.BOOTING, "stopped"),
        (Cause.VANISHED, Stage.IDLE, "vanished"),
        (Cause.OFFLINE, Stage.READY, "offline"),
        (Cause.JOB_UNCHECKED, Stage.BUSY, "policy"),
        (Cause.REMOVAL_FAILED, Stage.FINISHED, "removal"),
        (Cause.UNKNOWN, Stage.IDLE, "other"),
        ("from-a-newer-daemon", Stage.IDLE, "other"),
    ],
)
def test_a_cause_is_put_into_its_class(cause: str, stage: Stage, expected: str) -> None:
    assert classes.failure_class(str(cause), str(stage)) == expected


@given(st.sampled_from(Cause) | st.text(), st.sampled_from(Stage))
def test_every_cause_has_one_of_the_classes(cause: str, stage: Stage) -> None:
    assert classes.failure_class(str(cause), str(stage)) in classes.FAILURES


def test_every_class_has_a_cause_but_that_of_which_nobody_has_said_why() -> None:
    found = {classes.failure_class(str(cause), str(Stage.IDLE)) for cause in Cause}
    assert found == set(classes.FAILURES) - {classes.GONE}


@given(st.text())
def test_every_result_and_event_has_one_of_the_classes(said: str) -> None:
    assert classes.result_class(said) in {*classes.RESULTS.values(), classes.OTHER}
    assert classes.event_class(said) in {*classes.EVENTS, classes.OTHER, classes.UNKNOWN}


@pytest.mark.parametrize(
    ("result", "expected"),
    [("Succeeded", "succeeded"), ("Canceled", "cancelled"), ("", "unknown"), ("Odd", "other")],
)
def test_a_result_is_told_in_one_word(result: str, expected: str) -> None:
    assert classes.result_class(result) == expected


@pytest.mark.parametrize(
    ("event", "expected"), [("push", "push"), ("", "unknown"), ("issues", "other")]
)
def test_an_event_that_few_jobs_are_caused_by_is_one_of_the_others(
    event: str, expected: str
) -> None:
    assert classes.event_class(event) == expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [("200", "2xx"), ("304", "3xx"), ("404", "4xx"), ("502", "5xx"), ("no answer", "none"),
     ("999", "none")],
)  # fmt: skip
def test_a_status_is_known_by_its_first_digit(status: str, expected: str) -> None:
    assert classes.status_class(status) == expected
