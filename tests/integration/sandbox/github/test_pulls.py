"""Pull requests, their comments and reviews."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.github import SandboxGitHub

if TYPE_CHECKING:
    from conftest import Client

DEMO = "acme/demo"
REPOSITORY = "/repos/acme/demo"


def _numbers(client: Client, **query: str) -> list[int]:
    answer = client.ask("GET", f"{REPOSITORY}/pulls", params=query)
    assert answer.status_code == 200, answer.text
    return [pull["number"] for pull in answer.json()]


def _pull(client: Client, number: int) -> Any:
    return client.ask("GET", f"{REPOSITORY}/pulls/{number}").json()


def test_a_pull_request_of_the_repository_itself(client: Client, github: SandboxGitHub) -> None:
    branch = github.set_branch(DEMO, "feature", sha="b" * 40)
    github.open_pull(DEMO, "feature", author="dora")
    shown = _pull(client, 1)
    assert (shown["head"]["label"], shown["head"]["sha"]) == ("acme:feature", branch.sha)
    assert shown["head"]["repo"]["full_name"] == shown["base"]["repo"]["full_name"] == DEMO
    assert (shown["base"]["ref"], shown["user"]["login"]) == ("main", "dora")


def test_a_pull_request_of_a_fork(client: Client, github: SandboxGitHub) -> None:
    github.open_pull(DEMO, "mallory/copy:feature", "release")
    shown = _pull(client, 1)
    assert (shown["head"]["label"], shown["base"]["ref"]) == ("mallory:feature", "release")
    assert shown["head"]["repo"]["full_name"] == "mallory/copy"
    assert shown["head"]["repo"]["fork"] is True
    assert (shown["user"]["login"], shown["author_association"]) == ("mallory", "NONE")
    github.set_collaborator(DEMO, "mallory", "read", "outside")
    assert _pull(client, 1)["author_association"] == "COLLABORATOR"
    branch = client.ask("GET", "/repos/mallory/copy/branches/feature").json()
    assert branch["commit"]["sha"] == shown["head"]["sha"]


def test_pull_requests_are_found_by_owner_and_branch(client: Client, github: SandboxGitHub) -> None:
    github.open_pull(DEMO, "mallory/demo:feature")
    github.open_pull(DEMO, "trudy/demo:feature")
    github.open_pull(DEMO, "feature")
    assert _numbers(client) == [3, 2, 1]
    assert _numbers(client, head="mallory:feature") == [1]
    assert _numbers(client, head="Trudy:feature") == [2]
    assert _numbers(client, head="acme:feature") == [3]
    assert _numbers(client, head="mallory:Feature") == []
    assert _numbers(client, head="feature") == [3, 2, 1]
    assert _numbers(client, base="release") == []
    assert _numbers(client, direction="asc") == [1, 2, 3]


def test_closed_pull_requests_are_listed_when_asked_for(
    client: Client, github: SandboxGitHub
) -> None:
    for number in range(1, 4):
        github.open_pull(DEMO, f"feature-{number}")
    github.change_pull(DEMO, 1, state="closed")
    github.change_pull(DEMO, 2, merged=True)
    assert _numbers(client) == [3]
    assert _numbers(client, state="closed") == [2, 1]
    assert _numbers(client, state="all") == [3, 2, 1]
    assert [_pull(client, number)["merged"] for number in (1, 2, 3)] == [False, True, False]
    refused = client.ask("GET", f"{REPOSITORY}/pulls?state=any")
    assert refused.status_code == 422


def test_pull_requests_come_in_pages(client: Client, github: SandboxGitHub) -> None:
    for number in range(5):
        github.open_pull(DEMO, f"feature-{number}")
    first = client.ask("GET", f"{REPOSITORY}/pulls?per_page=2")
    assert [pull["number"] for pull in first.json()] == [5, 4]
    following = first.links["next"]["url"].removeprefix(client.url)
    assert [pull["number"] for pull in client.ask("GET", following).json()] == [3, 2]


def test_a_push_moves_a_pull_request(client: Client, github: SandboxGitHub) -> None:
    github.open_pull(DEMO, "feature")
    github.change_pull(DEMO, 1, head_sha="c" * 40)
    assert _pull(client, 1)["head"]["sha"] == "c" * 40
    commit = client.ask("GET", f"{REPOSITORY}/commits/{'c' * 40}/pulls").json()
    assert [pull["number"] for pull in commit] == [1]


def test_a_deleted_fork_leaves_its_pull_request_without_a_repository(
    client: Client, github: SandboxGitHub
) -> None:
    github.open_pull(DEMO, "mallory/demo:feature")
    github.change_pull(DEMO, 1, head_repository=None)
    shown = _pull(client, 1)
    assert (shown["head"]["repo"], shown["head"]["label"]) == (None, "mallory:feature")
    assert _numbers(client, head="mallory:feature") == [1]


def test_comments_come_in_pages_in_the_order_they_were_made(
    client: Client, github: SandboxGitHub
) -> None:
    github.open_pull(DEMO, "feature")
    github.open_pull(DEMO, "other")
    github.add_comment(DEMO, 2, "dora", "elsewhere")
    for number in range(120):
        github.add_comment(DEMO, 1, "dora", f"/run {number}")
    place: str | None = f"{REPOSITORY}/issues/1/comments?per_page=100"
    bodies: list[str] = []
    while place is not None:
        answer = client.ask("GET", place)
        bodies += [comment["body"] for comment in answer.json()]
        url = answer.links.get("next", {}).get("url")
        place = url.removeprefix(client.url) if url else None
    assert bodies == [f"/run {number}" for number in range(120)]
    assert _pull(client, 1)["comments"] == 120


def test_comments_tell_whose_they_are(client: Client, github: SandboxGitHub) -> None:
    github.open_pull(DEMO, "mallory/demo:feature")
    github.set_collaborator(DEMO, "dora", "write")
    github.add_comment(DEMO, 1, "dora", "fine")
    github.add_comment(DEMO, 1, "mallory", "thanks")
    shown = client.ask("GET", f"{REPOSITORY}/issues/1/comments").json()
    assert [(one["user"]["login"], one["author_association"]) for one in shown] == [
        ("dora", "MEMBER"),
        ("mallory", "NONE"),
    ]


def test_older_comments_can_be_left_out(client: Client, github: SandboxGitHub) -> None:
    github.open_pull(DEMO, "feature")
    github.add_comment(DEMO, 1, "dora", "old")
    github.skew_clock(timedelta(hours=1))
    github.add_comment(DEMO, 1, "dora", "new")
    since = (datetime.now(timezone.utc) + timedelta(minutes=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
    place = f"{REPOSITORY}/issues/1/comments"
    shown = client.ask("GET", place, params={"since": since}).json()
    assert [comment["body"] for comment in shown] == ["new"]
    assert client.ask("GET", place, params={"since": "yesterday"}).status_code == 422


def test_a_review_is_of_the_commit_that_was_newest(client: Client, github: SandboxGitHub) -> None:
    github.open_pull(DEMO, "feature", head_sha="d" * 40)
    github.add_review(DEMO, 1, "dora", "APPROVED", "fine")
    github.change_pull(DEMO, 1, head_sha="e" * 40)
    (review,) = client.ask("GET", f"{REPOSITORY}/pulls/1/reviews").json()
    assert (review["state"], review["body"]) == ("APPROVED", "fine")
    assert (review["user"]["login"], review["commit_id"]) == ("dora", "d" * 40)


@pytest.mark.parametrize("place", ["/pulls/7", "/pulls/7/reviews", "/issues/7/comments"])
def test_a_pull_request_that_does_not_exist_is_not_found(client: Client, place: str) -> None:
    assert client.ask("GET", REPOSITORY + place).status_code == 404


def test_a_pull_request_that_does_not_exist_can_not_be_changed(github: SandboxGitHub) -> None:
    for change in (
        lambda: github.add_comment(DEMO, 7, "dora", "x"),
        lambda: github.add_review(DEMO, 7, "dora"),
        lambda: github.change_pull(DEMO, 7, state="closed"),
    ):
        with pytest.raises(KeyError):
            change()
