from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.github import JobRequest
from sandbox.github.directory import Directory
from sandbox.github.events import completed
from sandbox.github.repositories import Repositories
from sandbox.github.settings import (
    PERMISSIONS,
    ROLES,
    Branch,
    Collaborator,
    Protection,
    Repository,
    Ruleset,
)
from sandbox.github.state import State

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
BASE = "https://github.test"
DEMO = "acme/demo"

roles = st.sampled_from(ROLES)
names = st.text("abc/*-.", min_size=1, max_size=8)


@given(roles, roles)
def test_a_higher_role_may_do_all_that_a_lower_one_may(one: str, other: str) -> None:
    low, high = sorted((Collaborator("a", one), Collaborator("b", other)), key=lambda c: c.rank)
    assert all(high.permissions[name] for name in PERMISSIONS if low.permissions[name])


@given(roles, st.sampled_from(["outside", "direct", "member"]))
def test_every_outside_collaborator_is_a_direct_one_too(role: str, affiliation: Any) -> None:
    person = Collaborator("a", role, affiliation=affiliation)
    assert person.has_affiliation("all")
    assert person.has_affiliation("direct") or not person.has_affiliation("outside")


@given(names, names)
def test_an_excluded_branch_has_no_rules(branch: str, default_branch: str) -> None:
    assert Ruleset(include=("~ALL",)).applies(branch, default_branch)
    assert not Ruleset(include=("~ALL",), exclude=("~ALL",)).applies(branch, default_branch)
    default_only = Ruleset(include=("~DEFAULT_BRANCH",))
    assert default_only.applies(branch, default_branch) is (branch == default_branch)


def test_a_branch_is_protected_by_either_means() -> None:
    bare, protected = Branch("main", "a"), Branch("main", "a", Protection())
    assert not Repository(DEMO).protects(bare)
    assert Repository(DEMO).protects(protected)
    assert Repository(DEMO, rulesets=(Ruleset(),)).protects(bare)
    assert not Repository(DEMO, rulesets=(Ruleset(),)).protects(Branch("other", "a"))


@given(st.lists(st.sampled_from(["acme/demo", "mallory/demo"]), min_size=1, max_size=6))
def test_pull_requests_are_numbered_in_their_order(heads: list[str]) -> None:
    repositories = Repositories(Directory())
    pulls = [repositories.open_pull(DEMO, head, "feature", NOW) for head in heads]
    assert [pull.number for pull in pulls] == list(range(1, len(heads) + 1))
    assert {pull.head_sha for pull in pulls if pull.head_repository == DEMO}.isdisjoint(
        pull.head_sha for pull in pulls if pull.head_repository != DEMO
    )


def test_a_new_branch_is_made_by_its_pull_request() -> None:
    repositories = Repositories(Directory())
    pull = repositories.open_pull(DEMO, "mallory/demo", "feature", NOW)
    branch = repositories.of("mallory/demo").branch("feature")
    assert branch is not None
    assert branch.sha == pull.head_sha
    assert repositories.of(DEMO).branch("feature") is None


def test_repositories_are_found_without_regard_to_case() -> None:
    repositories = Repositories(Directory())
    repositories.change("Acme/Demo", private=True)
    assert repositories.of(DEMO).private
    assert repositories.knows("ACME")
    assert not repositories.knows("nobody")


def _state() -> State:
    state = State(Directory())
    state.directory.add_repository(DEMO)
    return state


def _completed(state: State, **fields: Any) -> JobRequest:
    return completed(JobRequest("true", DEMO, **fields), state, BASE, NOW)


def test_a_push_is_to_the_default_branch() -> None:
    state = _state()
    state.repositories.change(DEMO, default_branch="trunk")
    pushed = _completed(state)
    branch = state.repositories.of(DEMO).branch("trunk")
    assert branch is not None
    assert (pushed.ref, pushed.sha) == ("refs/heads/trunk", branch.sha)


def test_a_pull_request_of_the_target_runs_what_is_there() -> None:
    state = _state()
    pull = state.repositories.open_pull(DEMO, "mallory/demo", "feature", NOW)
    on_target = _completed(state, event="pull_request_target", pull=1)
    merged = _completed(state, event="pull_request", pull=1)
    assert (on_target.ref, on_target.sha) == ("refs/heads/main", pull.base_sha)
    assert (merged.ref, merged.sha) == ("refs/pull/1/merge", pull.merge_sha)
    assert on_target.head_ref == merged.head_ref == "feature"


@pytest.mark.parametrize("event", ["push", "pull_request", "schedule"])
def test_what_a_request_says_itself_stays(event: str) -> None:
    state = _state()
    state.repositories.open_pull(DEMO, DEMO, "feature", NOW)
    said = {"ref": "refs/heads/x", "sha": "a" * 40, "payload": "{"}
    told = _completed(state, event=event, pull=1, **said)
    assert {name: getattr(told, name) for name in said} == said


@pytest.mark.parametrize("pull", [None, 7])
def test_an_event_of_no_pull_request_is_refused(pull: int | None) -> None:
    with pytest.raises(ValueError, match="pull request"):
        _completed(_state(), event="pull_request", pull=pull)


def test_a_payload_of_ones_own_needs_no_pull_request() -> None:
    assert _completed(_state(), event="pull_request", payload="{}").payload == "{}"


def test_a_field_of_two_lines_is_refused() -> None:
    with pytest.raises(ValueError, match="head_ref must be one line"):
        JobRequest("true", DEMO, head_ref="a\nevent=push")
