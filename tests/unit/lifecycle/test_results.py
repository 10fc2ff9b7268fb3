"""How a job has ended, in the runner application's words and in GitHub's."""

from __future__ import annotations

import pytest

from supervisor.lifecycle import Job
from supervisor.lifecycle.results import WORDS, conclusion_of, learnt, result_of


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


@pytest.mark.parametrize("told", ["", "Succeeded", "Abandoned"])
@pytest.mark.parametrize(
    ("conclusion", "result"), [("failure", "Failed"), ("a_new_word", "a_new_word")]
)
def test_githubs_word_counts_for_more_than_the_guests(
    told: str, conclusion: str, result: str
) -> None:
    assert learnt(Job("acme/demo", result=told), conclusion) == Job("acme/demo", result=result)


@pytest.mark.parametrize("told", ["", "Succeeded", "Refused"])
def test_where_github_shows_no_end_the_guests_word_stays(told: str) -> None:
    assert learnt(Job(result=told), "") == Job(result=told)


def test_what_the_policy_has_refused_stays_refused() -> None:
    assert learnt(Job(result="Refused"), "failure") == Job(result="Refused")


def test_no_two_results_are_called_alike() -> None:
    for words in (conclusion_of, lambda result: WORDS[result].label):
        assert len({words(result) for result in WORDS}) == len(WORDS)
