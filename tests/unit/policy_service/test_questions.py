from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy_world import body
from pydantic import ValidationError

from supervisor.policy_service.questions import BranchQuestion, PullRequestQuestion

KEYS = sorted(body())


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"target_branch_name": "feature/one", "source_branch_name": "übung"},
        {"repository_name": "a.b/.github", "source_repository_name": "a_b/c-d"},
        {"commit_sha": "a" * 64},
        {"target_branch_name": "gh-readonly-queue/main/pr-7-0123abc"},
    ],
)
def test_what_github_may_send_is_taken(changes: dict[str, str]) -> None:
    assert PullRequestQuestion.model_validate(body(**changes))


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 7, [], {}, "", " ", "\n", "\x00", "a b", "..", "../..", "a/../b", "a//b"),
        *("/a", "a/", "a?b", "a\\b", "x" * 1000, "a/b/..", "\ud800", "\u202e", "main\n"),
        *("%2e%2e/%2e%2e\n", "$(reboot)/a b", "a/b c", "::error::/x y"),
    ],
)
def test_what_it_can_t_have_sent_is_not_taken(key: str, value: Any) -> None:
    with pytest.raises(ValidationError):
        PullRequestQuestion.model_validate(body(**{key: value}))


@pytest.mark.parametrize("key", KEYS)
def test_nothing_may_be_missing(key: str) -> None:
    asked = body()
    del asked[key]
    with pytest.raises(ValidationError):
        PullRequestQuestion.model_validate(asked)


@given(st.text())
def test_a_repository_s_name_can_t_change_the_address_that_is_asked(name: str) -> None:
    try:
        question = BranchQuestion.model_validate({"repository_name": name})
    except ValidationError:
        return
    parts = question.repository_name.split("/")
    assert len(parts) == 2
    assert all(part not in {"", ".", ".."} for part in parts)


@pytest.mark.parametrize("given_body", [None, [], "text", 7, [body()]])
def test_a_body_that_is_no_mapping_is_not_taken(given_body: Any) -> None:
    with pytest.raises(ValidationError):
        BranchQuestion.model_validate(given_body)
