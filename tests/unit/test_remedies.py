"""Each problem has a remedy that leads somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from command_lines import command_lines, refusal
from hypothesis import given
from hypothesis import strategies as st

from supervisor.remedies import OTHERWISE, REMEDIES, find, remedy_of
from supervisor.roles import OBSERVERS, ROLES

ROOT = Path(__file__).parents[2]
WORDS = [remedy.words for remedy in (*REMEDIES, OTHERWISE)]


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


def with_none_of_their_own(actors: Iterable[str]) -> list[str]:
    """Name those whose failure only has the remedy that any name has before a colon."""
    shared = {find("somebody-else: failing: for no reason"), OTHERWISE}
    return [actor for actor in actors if find(f"{actor}: failing: for no reason") in shared]


def test_every_actor_whose_failure_is_a_problem_has_a_remedy_of_its_own() -> None:
    supervisors = {"root", "core", "runners"}
    assert with_none_of_their_own(set(ROLES) - OBSERVERS - supervisors) == []


def test_an_actor_without_a_remedy_of_its_own_is_found() -> None:
    assert with_none_of_their_own(["tokens", "brand-new-actor"]) == ["brand-new-actor"]


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (
            "configuration: the last change was refused: vm-cpu: must be a number",
            "systemctl reload",
        ),
        (
            "configuration: name: takes effect only after a restart of the daemon",
            "systemctl restart",
        ),
        (
            "the fine-grained token expires in 2 days (2030-01-03): set another",
            "another credential",
        ),
        ("tokens: failing: GitHub's hourly limit of core is used up, until 12:00", "#limits"),
        ("tokens: failing: the token is wrong, expired or revoked", "a credential that may"),
        ("tokens: failing: GitHub answered 500", "githubstatus.com"),
        (
            "tokens: failing: GitHub can't be reached through the proxy http://p:3128",
            "set the proxy right",
        ),
        ("events: reconnecting: nothing listens there; is LXD running?", "lxc list"),
        ("fleet: degraded: could not list the instances: no answer within 15 s", "lxc list"),
        ("image: failing: LXD has no image with the alias x", "lxd.image"),
        ("image: failing: the build ended with 1", "supervisor-cli image logs"),
        ("firewall: failing: there is no program nft; install nftables", "apt-get install"),
        ("filters: failing: without LXD's filters: a", "supervisor-cli firewall"),
        ("fleet: is stuck in Reconcile", "supervisor-cli tree"),
        ("events: is waiting: RuntimeError: x", "journalctl"),
        (
            "fleet: degraded: 2 of 3 runners are there; 4 runners in a row have failed to boot: x",
            "supervisor-cli logs",
        ),
        ("fleet-a1: took too long: waits for its guest", "`supervisor-cli logs fleet-a1`"),
        ("fleet-a1: ended; removal failed: LXD says: no", "LXD's own words"),
        ("https://github.example.com/acme: the token is wrong", "#moving-to-another-place"),
        ("acme/demo: could not list", "#moving-to-another-place"),
    ],
)
def test_a_problem_has_the_remedy_for_it(problem: str, words: str) -> None:
    assert words in remedy_of(problem)


@given(st.text())
def test_whatever_the_problem_the_remedy_is_one_line_that_can_be_printed(problem: str) -> None:
    assert remedy_of(problem).isprintable()
    assert remedy_of(problem)
