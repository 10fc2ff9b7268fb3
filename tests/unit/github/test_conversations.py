"""Conversations held by hand: no network, no time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.github import conversations
from supervisor.github.errors import (
    Forbidden,
    GitHubError,
    NameTaken,
    NotFound,
    Refused,
    RunnerBusy,
    Unavailable,
)
from supervisor.github.exchange import Answer, Cache, Request, Talk
from supervisor.github.scope import Scope

T = TypeVar("T")
ACME = Scope.parse("acme")
DEMO = Scope.parse("acme/demo")
RUNNERS = "/orgs/acme/actions/runners"
Reply = Answer | GitHubError


def hold(talk: Talk[T], *replies: Reply) -> tuple[T, list[str]]:
    """Lead a conversation to its end; return its result and what it asked."""
    asked: list[str] = []
    waiting = list(replies)
    try:
        request = next(talk)
        while True:
            asked.append(f"{request.verb} {request.path}")
            reply = waiting.pop(0)
            request = talk.throw(reply) if isinstance(reply, GitHubError) else talk.send(reply)
    except StopIteration as end:
        assert not waiting, f"never asked for: {waiting}"
        return end.value, asked


def ok(data: Any, status: int = 200, **headers: str) -> Answer:
    return Answer(status, headers, data)


def runner(number: int, name: str = "fleet-a", **more: Any) -> dict[str, Any]:
    return {"id": number, "name": name, "status": "offline", "busy": False, **more}


def page(*runners: dict[str, Any], total: int | None = None, **headers: str) -> Answer:
    count = len(runners) if total is None else total
    return ok({"total_count": count, "runners": list(runners)}, **headers)


def registering(group_id: int = 1) -> Talk[conversations.Registered]:
    return conversations.register(ACME, "fleet-a", ("x",), group_id)


def finding(group: str) -> Talk[int]:
    return conversations.find_group(ACME, Cache(), group)


MADE = ok({"runner": {"id": 7}, "encoded_jit_config": "c2VjcmV0"}, 201)
LOST = Unavailable("could not register fleet-a: GitHub can't be reached")
GENERATE = f"POST {RUNNERS}/generate-jitconfig"
LOOK_UP = f"GET {RUNNERS}?per_page=100&name=fleet-a"


def test_a_registration_is_one_call() -> None:
    made, asked = hold(registering(), MADE)
    assert (made.runner_id, made.encoded) == (7, "c2VjcmV0")
    assert "c2VjcmV0" not in repr(made)
    assert asked == [GENERATE]


def test_what_was_not_registered_after_all_is_asked_for_again() -> None:
    made, asked = hold(registering(), LOST, page(), MADE)
    assert made.runner_id == 7
    assert asked == [GENERATE, LOOK_UP, GENERATE]


def test_what_was_registered_but_not_received_is_deleted_first() -> None:
    made, asked = hold(registering(), LOST, page(runner(6)), ok(None, 204), MADE)
    assert made.runner_id == 7
    assert asked == [GENERATE, LOOK_UP, f"DELETE {RUNNERS}/6", GENERATE]


def test_a_second_unknown_outcome_is_an_error_and_leaves_nothing_behind() -> None:
    talk = registering()
    asked = [next(talk), talk.throw(LOST), talk.send(page()), talk.throw(LOST)]
    asked.append(talk.send(page(runner(6))))
    with pytest.raises(Unavailable, match="can't be reached"):
        talk.send(ok(None, 204))
    assert [one.verb for one in asked] == ["POST", "GET", "POST", "GET", "DELETE"]


def test_when_the_name_can_not_be_looked_up_it_is_not_asked_for_again() -> None:
    with pytest.raises(Unavailable, match="look it up"):
        hold(registering(), LOST, Unavailable("could not look it up"))


@pytest.mark.parametrize("state", [{"status": "online"}, {"busy": True}])
def test_a_name_at_work_is_left_alone(state: dict[str, Any]) -> None:
    with pytest.raises(NameTaken, match="at work"):
        hold(registering(), NameTaken("taken"), page(runner(6, **state)))


def test_another_runner_that_the_look_up_shows_is_not_deleted() -> None:
    _, asked = hold(registering(), LOST, page(runner(6, "fleet-ab")), MADE)
    assert not any(one.startswith("DELETE") for one in asked)


@pytest.mark.parametrize("error", [Forbidden("no"), Refused("no"), RunnerBusy("no")])
def test_a_refusal_is_not_asked_again(error: GitHubError) -> None:
    with pytest.raises(type(error)):
        hold(registering(), error)


def groups(*names: str, total: int | None = None) -> Answer:
    listed = [{"id": number, "name": name} for number, name in enumerate(names, start=1)]
    return ok({"total_count": total or len(listed), "runner_groups": listed})


def test_a_group_is_found_by_its_name_whatever_the_case() -> None:
    number, asked = hold(finding("GPU"), groups("Default", "gpu"))
    assert number == 2
    assert asked == ["GET /orgs/acme/actions/runner-groups?per_page=100&page=1"]


@pytest.mark.parametrize("name", ["Default", "default"])
def test_the_default_group_is_known(name: str) -> None:
    assert hold(finding(name)) == (1, [])


def test_all_pages_of_groups_are_read() -> None:
    first = groups(*(f"g{n}" for n in range(100)), total=101)
    second = ok({"total_count": 101, "runner_groups": [{"id": 500, "name": "gpu"}]})
    number, _ = hold(finding("gpu"), first, second)
    assert number == 500


def test_a_group_that_there_is_not_is_named_with_those_that_there_are() -> None:
    with pytest.raises(NotFound) as caught:
        hold(finding("gpu"), groups("Default", "large"))
    assert str(caught.value) == (
        'there is no runner group "gpu" in organisation acme; there are: Default, large'
    )


def test_not_all_groups_of_a_large_organisation_are_named() -> None:
    with pytest.raises(NotFound, match=r"g0, .* and 90 more$"):
        hold(finding("gpu"), groups(*(f"g{n}" for n in range(100))))


def test_a_group_may_be_what_is_refused() -> None:
    with pytest.raises(Forbidden, match="no; or runners may not join their runner group"):
        hold(registering(7), Forbidden("no"))


def test_a_deletion_is_one_call() -> None:
    _, asked = hold(conversations.delete(ACME, 7, "fleet-a"), ok(None, 204))
    assert asked == [f"DELETE {RUNNERS}/7"]


def test_what_is_not_found_is_gone_only_if_a_listing_shows_it_so() -> None:
    _, asked = hold(conversations.delete(ACME, 7, "fleet-a"), NotFound("no"), page())
    assert asked == [f"DELETE {RUNNERS}/7", LOOK_UP]
    with pytest.raises(NotFound):
        hold(conversations.delete(ACME, 7, "fleet-a"), NotFound("no"), NotFound("no"))
    with pytest.raises(NotFound):
        hold(conversations.delete(ACME, 7, "fleet-a"), NotFound("no"), page(runner(7)))
    hold(conversations.delete(ACME, 7, "fleet-a"), NotFound("no"), page(runner(8)))


@given(count=st.integers(0, 450))
def test_a_listing_is_one_call_for_each_hundred(count: int) -> None:
    everyone = [runner(number, f"r{number}") for number in range(1, count + 1)]
    pages = [everyone[at : at + 100] for at in range(0, max(count, 1), 100)]
    replies = [page(*one, total=count) for one in pages]
    found, asked = hold(conversations.registrations(ACME, Cache()), *replies)
    assert [one.id for one in found] == list(range(1, count + 1))
    assert len(asked) == max(1, -(-count // 100))


def test_a_page_that_is_unchanged_is_taken_from_the_last_time() -> None:
    cache = Cache()
    hold(conversations.registrations(ACME, cache), page(runner(1), etag='"one"'))
    talk = conversations.registrations(ACME, cache)
    request = next(talk)
    assert request.etag == '"one"'
    with pytest.raises(StopIteration) as end:
        talk.send(Answer(304, {}))
    assert [one.id for one in end.value.value] == [1]


def test_pages_that_there_are_no_more_are_forgotten() -> None:
    cache = Cache()
    many = [runner(number) for number in range(1, 101)]
    hold(
        conversations.registrations(ACME, cache),
        page(*many, total=101, etag='"1"'),
        page(runner(101), total=101, etag='"2"'),
    )
    hold(conversations.registrations(ACME, cache), page(runner(1), etag='"3"'))
    tags: list[str] = []
    talk = conversations.registrations(ACME, cache)
    tags.append(next(talk).etag)
    tags.append(talk.send(page(*many, total=101)).etag)
    assert tags == ['"3"', ""]


def test_a_total_that_is_wrong_does_not_keep_a_listing_going() -> None:
    found, asked = hold(conversations.registrations(ACME, Cache()), page(total=10**9))
    assert found == ()
    assert len(asked) == 1


def test_a_runner_on_two_pages_is_listed_once() -> None:
    many = [runner(number) for number in range(1, 101)]
    replies = (page(*many, total=101), page(runner(99), total=101))
    found, _ = hold(conversations.registrations(ACME, Cache()), *replies)
    assert len(found) == 100


def test_only_what_github_calls_persistent_is() -> None:
    found, _ = hold(
        conversations.registrations(ACME, Cache()),
        page(runner(1), runner(2, ephemeral=True), runner(3, ephemeral=False)),
    )
    assert [one.ephemeral for one in found] == [True, True, False]


TALKS: list[Callable[[], Talk[Any]]] = [
    registering,
    lambda: conversations.registrations(ACME, Cache()),
    lambda: conversations.registrations(DEMO, Cache()),
    lambda: conversations.application(ACME, Cache(), "x64"),
    lambda: conversations.find_group(ACME, Cache(), "gpu"),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["runners", "total_count", "id", "name", "runner_groups", "os"]),
            inner,
            max_size=4,
        )
    ),
)


@pytest.mark.parametrize("begin", TALKS)
@given(data=JSON)
def test_whatever_an_answer_holds_it_ends_in_a_result_or_an_error_of_githubs(
    begin: Callable[[], Talk[Any]], data: Any
) -> None:
    talk = begin()
    request: Request | None = next(talk)
    for _ in range(5):
        try:
            request = talk.send(Answer(200, {}, data))
        except (StopIteration, GitHubError):
            return
    assert request is not None  # it may well go on asking, while it is told that there is more


OFFER = {"os": "linux", "architecture": "x64", "download_url": "https://x/r", "filename": "r.gz"}


def test_the_application_comes_with_its_checksum() -> None:
    offers = ok([{**OFFER, "os": "win"}, {**OFFER, "sha256_checksum": "a" * 64}])
    found, _ = hold(conversations.application(ACME, Cache(), "x64"), offers)
    assert (found.url, found.sha256, found.filename) == ("https://x/r", "a" * 64, "r.gz")


@pytest.mark.parametrize("checksum", [{}, {"sha256_checksum": None}, {"sha256_checksum": "abc"}])
def test_an_application_that_can_not_be_verified_is_refused(checksum: dict[str, Any]) -> None:
    with pytest.raises(Refused, match=r"no SHA-256 for r\.gz: it can't be verified"):
        hold(conversations.application(ACME, Cache(), "x64"), ok([{**OFFER, **checksum}]))


def test_an_architecture_without_an_application_is_named() -> None:
    with pytest.raises(Refused, match="no runner application for linux on m68k"):
        hold(conversations.application(ACME, Cache(), "m68k"), ok([]))


GOOD = {"id": 1, "name": "a", "status": "online", "busy": False}


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": -1}, {"id": 0}, {"id": True}, {"id": "1"}, {"id": 1e30}, {"id": 2**80},
        {"name": None}, {"name": ""}, {"busy": "false"}, {"busy": None}, {"status": "gone"},
    ],
    ids=str,
)  # fmt: skip
def test_a_runner_of_wrong_kinds_is_not_guessed_at(wrong: dict[str, Any]) -> None:
    with pytest.raises(Unavailable, match="can't be read"):
        hold(conversations.registrations(ACME, Cache()), page({**GOOD, **wrong}))


@pytest.mark.parametrize("total", [-1, True, "1", None, 1e9])
def test_a_total_of_another_kind_is_no_total(total: Any) -> None:
    answer = ok({"total_count": total, "runners": [GOOD]})
    with pytest.raises(Unavailable, match="can't be read"):
        hold(conversations.registrations(ACME, Cache()), answer)


def test_pages_that_say_the_same_for_ever_are_not_read_for_ever() -> None:
    same = page(GOOD, total=10**9)
    found, asked = hold(conversations.registrations(ACME, Cache()), same, same)
    assert (len(found), len(asked)) == (1, 2)


@pytest.mark.parametrize("encoded", [None, 5, "", [], "no base64!", "YQ==\n", "A" * 70_000])
def test_a_configuration_that_no_guest_could_use_is_a_lost_one(encoded: Any) -> None:
    spoilt = ok({"runner": {"id": 6}, "encoded_jit_config": encoded}, 201)
    made, asked = hold(registering(), spoilt, page(runner(6)), ok(None, 204), MADE)
    assert made.runner_id == 7
    assert asked == [GENERATE, LOOK_UP, f"DELETE {RUNNERS}/6", GENERATE]


@pytest.mark.parametrize(
    "wrong",
    [
        {"download_url": "file:///etc/passwd"},
        {"download_url": "https://x/'; rm -rf /"},
        {"download_url": None},
        {"filename": "../../x"},
        {"filename": "a;$(id)"},
    ],
    ids=str,
)
def test_an_application_that_no_guest_should_fetch_is_not_offered(wrong: dict[str, Any]) -> None:
    offer = {**OFFER, "sha256_checksum": "a" * 64, **wrong}
    with pytest.raises(Unavailable, match="can't be read"):
        hold(conversations.application(ACME, Cache(), "x64"), ok([offer]))
