"""What was asked of GitHub, in few names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.github import conversations
from supervisor.github.calls import ROUTES, Calls, route
from supervisor.github.errors import Unavailable
from supervisor.github.exchange import Answer, Cache, Request
from supervisor.github.scope import Scope


@pytest.mark.parametrize("owner", ["/orgs/acme", "/repos/acme/demo", "/enterprises/big"])
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/actions/runners?per_page=100&page=2", "/actions/runners"),
        ("/actions/runners/generate-jitconfig", "/actions/runners/generate-jitconfig"),
        ("/actions/runners/downloads", "/actions/runners/downloads"),
        ("/actions/runners/4711", "/actions/runners/{runner_id}"),
        ("/actions/runner-groups?per_page=100&page=1", "/actions/runner-groups"),
        ("/actions/secrets", "other"),
    ],
)
def test_a_route_says_neither_whose_it_is_nor_numbers(owner: str, path: str, expected: str) -> None:
    assert route(owner + path) == expected


@pytest.mark.parametrize("path", ["acme", "acme/demo", "enterprises/big"])
def test_every_conversation_takes_a_route_that_is_known(path: str) -> None:
    scope = Scope.parse(path)
    talks = (
        conversations.register(scope, "r", ("l",), 1),
        conversations.delete(scope, 7, "r"),
        conversations.registrations(scope, Cache()),
        conversations.application(scope, Cache(), "x64"),
        conversations.find_group(scope, Cache(), "ours"),
    )
    taken = [route(next(talk).path) for talk in talks]
    assert "other" not in taken
    assert len(set(taken)) == len(talks)


@given(st.text())
def test_there_are_no_other_routes(path: str) -> None:
    assert route(path) in ROUTES


def test_calls_are_counted_and_told() -> None:
    told: list[tuple[str, str, str]] = []
    calls = Calls(lambda *call: told.append(call))
    request = Request("DELETE", "/orgs/acme/actions/runners/7", "delete it")
    calls.count(request, Answer(204, {}, None))
    calls.count(request, Unavailable("no answer"))
    assert calls.report() == {"DELETE 204": 1, "DELETE no answer": 1}
    name = "/actions/runners/{runner_id}"
    assert told == [("DELETE", name, "204"), ("DELETE", name, "no answer")]
