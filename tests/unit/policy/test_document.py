from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.policy.document import (
    CHECKS,
    DEFAULT,
    Check,
    DocumentError,
    Policy,
    parse,
    parse_optional,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def documents() -> st.SearchStrategy[dict[str, Any]]:
    rule = st.fixed_dictionaries({"enabled": st.booleans()})
    events = {
        event: st.fixed_dictionaries({}, optional={check.value: rule for check in checks})
        for event, checks in CHECKS.items()
    }
    return st.fixed_dictionaries({}, optional=events)


@given(documents())
def test_a_check_is_made_unless_the_document_disables_it(document: dict[str, Any]) -> None:
    policy = parse(document)
    for event, checks in CHECKS.items():
        made = [
            check
            for check in checks
            if document.get(event, {}).get(check.value, {}).get("enabled", True)
        ]
        assert list(policy.checks(event)) == made


def test_without_a_document_forks_may_ask_and_all_else_is_checked() -> None:
    policy = parse_optional(None)
    assert Check.DISALLOW_FORK not in policy.checks("pull_request")
    assert len(policy.checks("pull_request")) == 3
    assert all(policy.checks(event) for event in CHECKS)
    assert policy == DEFAULT


def test_an_empty_document_enables_everything() -> None:
    assert parse({}) == Policy()


@given(JSON)
def test_anything_else_is_refused_or_enables_everything_it_does_not_name(document: Any) -> None:
    try:
        policy = parse(document)
    except DocumentError:
        return
    assert policy == Policy()


@pytest.mark.parametrize(
    ("document", "where"),
    [
        (None, "the document"),
        ([], "the document"),
        ({"pull-request": {}}, "the document: has no 'pull-request'; there are pull_request"),
        ({"push": {"execute_job": {"enabled": True}}}, "push: has no 'execute_job'"),
        ({"push": True}, "push: must be a mapping"),
        ({"push": {"collaborators": False}}, "push.collaborators"),
        ({"push": {"collaborators": {}}}, "push.collaborators"),
        ({"push": {"collaborators": {"enabled": 0}}}, "push.collaborators"),
        ({"push": {"collaborators": {"enabled": "false"}}}, "push.collaborators"),
        ({1: {}}, "the document: has no '1'"),
    ],
)
def test_a_mistake_is_named_with_its_place(document: Any, where: str) -> None:
    with pytest.raises(DocumentError) as caught:
        parse(document)
    assert str(caught.value).startswith(where)


def test_more_in_a_rule_is_let_be_as_in_the_original() -> None:
    rule = {"enabled": False, "comment": "not here"}
    assert parse({"push": {"collaborators": rule}}).checks("push") == ()
