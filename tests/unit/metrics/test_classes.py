"""The few classes that label values are put into."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.lifecycle import Stage
from supervisor.metrics import classes


@pytest.mark.parametrize(
    ("reason", "stage", "expected"),
    [
        ("could not register fleet-1: GitHub answered 500", Stage.REQUESTED, "github"),
        ("could not get a token for installation 7: Not Found", Stage.REQUESTED, "github"),
        ("whatever GitHub says", Stage.REQUESTED, "github"),
        ("could not create fleet-1: no space left on device", Stage.CREATING, "lxd"),
        ("could not start fleet-1: LXD does not answer", Stage.CREATING, "lxd"),
        ("took too long: waits for the guest's ready signal", Stage.BOOTING, "timeout"),
        ("stopped while booting; waits for LXD", Stage.BOOTING, "stopped"),
        ("was found stopped", Stage.BOOTING, "stopped"),
        ("the runner application ended with exit code 2; waits", Stage.READY, "stopped"),
        ("GitHub does not know it any more", Stage.IDLE, "vanished"),
        ("GitHub has not shown it online for 5 minutes", Stage.READY, "offline"),
        ("runs a job that the policy has not let run", Stage.BUSY, "policy"),
        ("its job ended; removal failed: could not delete it", Stage.FINISHED, "removal"),
        ("for no reason", Stage.IDLE, "other"),
    ],
)
def test_a_reason_is_put_into_its_class(reason: str, stage: Stage, expected: str) -> None:
    assert classes.failure_class(reason, str(stage)) == expected


@given(st.text(), st.sampled_from(Stage))
def test_every_reason_has_one_of_the_classes(reason: str, stage: Stage) -> None:
    assert classes.failure_class(reason, str(stage)) in classes.FAILURES


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
