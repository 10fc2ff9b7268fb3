"""Each problem has a remedy that leads somewhere."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from command_lines import command_lines, refusal
from hypothesis import given
from hypothesis import strategies as st

from supervisor.causes import Cause
from supervisor.roles import OBSERVERS, ROLES
from supervisor.status.problems import CONFIGURATION, CREDENTIAL, FORMER_PLACE, RUNNER, Problem
from supervisor.status.remedies import BY_CAUSE, ELSE, OTHERWISE, remedy_of

ROOT = Path(__file__).parents[3]
WORDS = sorted({*BY_CAUSE.values(), *OTHERWISE.values(), ELSE})
problems = st.builds(
    Problem,
    of=st.sampled_from([*ROLES, *OTHERWISE]),
    words=st.text(),
    cause=st.sampled_from(Cause),
    runner=st.just("fleet-a1"),
)


def headings(document: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("words", WORDS)
def test_a_document_that_a_remedy_names_has_that_part(words: str) -> None:
    for name, heading in re.findall(r"(docs/[\w/-]+\.md)(?:#([\w-]+))?", words):
        assert (ROOT / name).exists()
        assert not heading or heading in headings(ROOT / name)


@pytest.mark.parametrize("words", WORDS)
def test_the_command_would_take_each_line_that_a_remedy_names(words: str) -> None:
    assert {line: why for line in command_lines(words) if (why := refusal(line))} == {}


@pytest.mark.parametrize("words", WORDS)
def test_a_remedy_says_what_to_do_or_where_to_read(words: str) -> None:
    assert "`" in words or "docs/" in words


def test_every_actor_whose_failure_is_a_problem_has_a_remedy_of_its_own() -> None:
    supervisors = {"root", "core", "runners"}
    assert set(ROLES) - OBSERVERS - supervisors - OTHERWISE.keys() == set()


def test_every_remedy_is_of_an_actor_or_of_another_thing_that_problems_are_of() -> None:
    others = {CONFIGURATION, CREDENTIAL, FORMER_PLACE, RUNNER}
    assert OTHERWISE.keys() - ROLES.keys() == others


@pytest.mark.parametrize(
    ("of", "cause", "words"),
    [
        (CONFIGURATION, Cause.CONFIGURATION_REFUSED, "systemctl reload"),
        (CONFIGURATION, Cause.RESTART_REQUIRED, "systemctl restart"),
        (CREDENTIAL, Cause.CREDENTIAL_EXPIRING, "another credential"),
        ("tokens", Cause.RATE_LIMITED, "#limits"),
        ("tokens", Cause.CREDENTIAL_REJECTED, "a credential that may"),
        ("tokens", Cause.CREDENTIAL_UNREADABLE, "a credential that may"),
        ("tokens", Cause.GITHUB_UNAVAILABLE, "githubstatus.com"),
        ("tokens", Cause.UNKNOWN, "githubstatus.com"),
        ("tokens", Cause.PROXY_FAILED, "set the proxy right"),
        ("events", Cause.LXD_UNAVAILABLE, "lxc list"),
        ("fleet", Cause.LXD_UNAVAILABLE, "lxc list"),
        ("fleet", Cause.LXD_INCOMPLETE, "prepare-lxd"),
        ("image", Cause.IMAGE_MISSING, "lxd.image"),
        ("image", Cause.UNKNOWN, "supervisor-cli image logs"),
        ("storage", Cause.LXD_FAILED, "make room"),
        ("fleet", Cause.NO_SPACE, "make room"),
        ("firewall", Cause.NFTABLES_MISSING, "apt-get install"),
        ("filters", Cause.UNKNOWN, "supervisor-cli firewall"),
        ("fleet", Cause.ACTOR_STUCK, "supervisor-cli tree"),
        ("events", Cause.ACTOR_DOWN, "journalctl"),
        ("fleet", Cause.RUNNERS_FAILING, "supervisor-cli logs"),
        ("fleet", Cause.UNKNOWN, "supervisor-cli runners"),
        (RUNNER, Cause.TIMED_OUT, "`supervisor-cli logs fleet-a1`"),
        (RUNNER, Cause.REMOVAL_FAILED, "LXD's own words"),
        (FORMER_PLACE, Cause.UNKNOWN, "#moving-to-another-place"),
        ("somebody-else", Cause.UNKNOWN, "docs/runbook.md#reasons"),
    ],
)
def test_a_problem_has_the_remedy_for_it(of: str, cause: Cause, words: str) -> None:
    assert words in remedy_of(Problem(of, "whatever it is called", cause, "fleet-a1"))


@given(problems)
def test_whatever_the_problem_the_remedy_is_one_line_that_can_be_printed(problem: Problem) -> None:
    assert remedy_of(problem).isprintable()
    assert "{" not in remedy_of(problem)


@given(problems, st.text())
def test_what_a_problem_is_called_makes_no_difference(problem: Problem, words: str) -> None:
    assert remedy_of(problem) == remedy_of(replace(problem, words=words))
