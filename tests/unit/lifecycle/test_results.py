"""How a job has ended, in the runner application's words and in GitHub's."""

from __future__ import annotations

import pytest

from supervisor.lifecycle.results import conclusion_of, result_of


@pytest.mark.parametrize(
    ("result", "conclusion"),
    [
        ("Succeeded", "success"),
        ("Failed", "failure"),
        ("Canceled", "cancelled"),
        ("Skipped", "skipped"),
    ],
)
def test_what_both_have_a_word_for_is_given_in_the_others(result: str, conclusion: str) -> None:
    assert conclusion_of(result) == conclusion
    assert result_of(conclusion) == result


def test_what_only_github_has_a_word_for_keeps_it() -> None:
    assert (result_of("timed_out"), conclusion_of("timed_out")) == ("timed_out", "timed_out")


def test_what_only_the_application_or_the_policy_has_a_word_for_keeps_it() -> None:
    assert (conclusion_of("Abandoned"), conclusion_of("Refused")) == ("abandoned", "refused")


@pytest.mark.parametrize("state", ["queued", "in_progress", "completed", "waiting", "", "new_word"])
def test_what_is_no_end_is_no_result(state: str) -> None:
    assert result_of(state) == ""
