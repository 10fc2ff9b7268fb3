"""What a repository's owners can set, and how GitHub's REST API shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sandbox.github import (
    Fault,
    Protection,
    Reviews,
    Ruleset,
    SandboxGitHub,
    pull_request_rule,
)

if TYPE_CHECKING:
    from conftest import Client, Contract, NewClient

DEMO = "acme/demo"
REPOSITORY = "/repos/acme/demo"


def _asked(client: Client, path: str, **query: str) -> Any:
    answer = client.ask("GET", REPOSITORY + path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def _logins(client: Client, **query: str) -> list[str]:
    return [person["login"] for person in _asked(client, "/collaborators", **query)]


def test_a_repository_shows_its_own_settings(client: Client, github: SandboxGitHub) -> None:
    github.set_repository(DEMO, private=True, default_branch="trunk")
    shown = _asked(client, "")
    assert (shown["private"], shown["visibility"], shown["default_branch"], shown["fork"]) == (
        True,
        "private",
        "trunk",
        False,
    )
    github.set_repository(DEMO, private=False)
    assert (_asked(client, "")["private"], _asked(client, "")["default_branch"]) == (False, "trunk")


def test_a_fork_names_its_parent_and_is_a_users(client: Client, github: SandboxGitHub) -> None:
    github.add_fork(DEMO, "mallory/copy")
    shown = client.ask("GET", "/repos/mallory/copy").json()
    assert (shown["fork"], shown["parent"]["full_name"]) == (True, DEMO)
    assert shown["owner"]["type"] == "User"
    assert client.ask("GET", "/orgs/mallory").status_code == 404


def test_the_default_branch_exists_and_is_not_protected(client: Client) -> None:
    branch = _asked(client, "/branches/main")
    assert (branch["name"], branch["protected"]) == ("main", False)
    missing = client.ask("GET", f"{REPOSITORY}/branches/nowhere")
    assert (missing.status_code, missing.json()["message"]) == (404, "Branch not found")


def test_a_branch_moves_and_goes(client: Client, github: SandboxGitHub) -> None:
    github.set_branch(DEMO, "feature", sha="a" * 40)
    assert _asked(client, "/branches/feature")["commit"]["sha"] == "a" * 40
    github.remove_branch(DEMO, "feature")
    assert client.ask("GET", f"{REPOSITORY}/branches/feature").status_code == 404


@pytest.mark.parametrize("name", ["feature/x", "feature%2Fx"])
def test_a_branchs_name_may_hold_slashes(client: Client, github: SandboxGitHub, name: str) -> None:
    github.protect(DEMO, "feature/x")
    assert _asked(client, f"/branches/{name}")["name"] == "feature/x"
    assert "required_pull_request_reviews" in _asked(client, f"/branches/{name}/protection")
    assert _asked(client, f"/rules/branches/{name}") == []


def test_protection_tells_of_reviews_and_of_who_needs_none(
    client: Client, github: SandboxGitHub
) -> None:
    reviews = Reviews(2, bypass_users=("eve",), bypass_teams=("core",), bypass_apps=("bot",))
    github.protect(DEMO, "main", Protection(reviews, enforce_admins=False))
    assert _asked(client, "/branches/main")["protected"] is True
    shown = _asked(client, "/branches/main/protection")
    wanted = shown["required_pull_request_reviews"]
    assert wanted["required_approving_review_count"] == 2
    allowances = wanted["bypass_pull_request_allowances"]
    assert [user["login"] for user in allowances["users"]] == ["eve"]
    assert [team["slug"] for team in allowances["teams"]] == ["core"]
    assert [app["slug"] for app in allowances["apps"]] == ["bot"]
    assert shown["enforce_admins"]["enabled"] is False


def test_protection_without_a_way_around_names_none(client: Client, github: SandboxGitHub) -> None:
    github.protect(DEMO, "main")
    shown = _asked(client, "/branches/main/protection")["required_pull_request_reviews"]
    assert "bypass_pull_request_allowances" not in shown
    github.protect(DEMO, "main", Protection(reviews=None))
    assert "required_pull_request_reviews" not in _asked(client, "/branches/main/protection")


def test_a_branch_without_protection_has_none_to_show(
    client: Client, github: SandboxGitHub
) -> None:
    github.protect(DEMO, "main")
    github.unprotect(DEMO, "main")
    answer = client.ask("GET", f"{REPOSITORY}/branches/main/protection")
    assert (answer.status_code, answer.json()["message"]) == (404, "Branch not protected")


def test_a_ruleset_protects_without_branch_protection(
    client: Client, github: SandboxGitHub
) -> None:
    added = github.add_ruleset(DEMO, Ruleset((pull_request_rule(2), {"type": "deletion"})))
    assert _asked(client, "/branches/main")["protected"] is True
    assert client.ask("GET", f"{REPOSITORY}/branches/main/protection").status_code == 404
    first, second = _asked(client, "/rules/branches/main")
    assert first["parameters"]["required_approving_review_count"] == 2
    assert (second["type"], second["ruleset_id"]) == ("deletion", added.id)
    assert (first["ruleset_source_type"], first["ruleset_source"]) == ("Repository", DEMO)
    github.remove_ruleset(DEMO, added.id)
    assert _asked(client, "/rules/branches/main") == []


@pytest.mark.parametrize(
    ("ruleset", "branch", "applies"),
    [
        (Ruleset(), "feature", False),
        (Ruleset(include=("~ALL",)), "feature", True),
        (Ruleset(include=("~ALL",), exclude=("refs/heads/feat*",)), "feature", False),
        (Ruleset(include=("refs/heads/feature/*",)), "feature/1", True),
        (Ruleset(enforcement="evaluate"), "main", False),
        (Ruleset(enforcement="disabled"), "main", False),
    ],
)
def test_only_rules_in_force_for_a_branch_are_shown(
    client: Client, github: SandboxGitHub, ruleset: Ruleset, branch: str, applies: bool
) -> None:
    github.add_ruleset(DEMO, ruleset)
    assert bool(_asked(client, f"/rules/branches/{branch}")) is applies


def test_an_organisations_ruleset_names_it(client: Client, github: SandboxGitHub) -> None:
    github.add_ruleset(DEMO, Ruleset(organization=True))
    (rule,) = _asked(client, "/rules/branches/main")
    assert (rule["ruleset_source_type"], rule["ruleset_source"]) == ("Organization", "acme")


def test_collaborators_are_told_apart_by_affiliation_and_permission(
    client: Client, github: SandboxGitHub
) -> None:
    github.set_collaborator(DEMO, "owen", "admin", "member")
    github.set_collaborator(DEMO, "dora", "write", "direct")
    github.set_collaborator(DEMO, "oscar", "read", "outside")
    github.set_collaborator(DEMO, "olga", "triage", "outside")
    github.set_collaborator(DEMO, "carl", "security", "outside", base="read")
    assert _logins(client) == ["owen", "dora", "oscar", "olga", "carl"]
    assert _logins(client, affiliation="direct") == ["dora", "oscar", "olga", "carl"]
    assert _logins(client, affiliation="outside") == ["oscar", "olga", "carl"]
    assert _logins(client, affiliation="outside", permission="triage") == ["olga"]
    assert _logins(client, permission="push") == ["owen", "dora"]
    roles = {person["login"]: person["role_name"] for person in _asked(client, "/collaborators")}
    assert (roles["carl"], roles["olga"]) == ("security", "triage")
    github.remove_collaborator(DEMO, "OLGA")
    assert _logins(client, affiliation="outside", permission="triage") == []


def test_a_filter_that_github_does_not_have_is_refused(client: Client) -> None:
    for query in ("affiliation=inside", "permission=write"):
        refused = client.ask("GET", f"{REPOSITORY}/collaborators?{query}")
        assert refused.status_code == 422


def test_collaborators_come_in_pages_with_links(client: Client, github: SandboxGitHub) -> None:
    for number in range(250):
        github.set_collaborator(DEMO, f"user-{number}", "read", "outside")
    url: str | None = f"{client.url}{REPOSITORY}/collaborators?affiliation=outside&per_page=100"
    seen: list[str] = []
    sizes: list[int] = []
    while url is not None:
        answer = client.ask("GET", url.removeprefix(client.url))
        people = [person["login"] for person in answer.json()]
        sizes.append(len(people))
        seen += people
        url = answer.links.get("next", {}).get("url")
        assert url is None or "/repositories/" in url
    assert sizes == [100, 100, 50]
    assert seen == [f"user-{number}" for number in range(250)]
    assert len(_logins(client)) == 30


@pytest.mark.parametrize(
    ("role", "permission"),
    [
        ("admin", "admin"),
        ("maintain", "write"),
        ("write", "write"),
        ("triage", "read"),
        ("read", "read"),
    ],
)
def test_a_users_permission_is_told_in_the_old_words(
    client: Client, github: SandboxGitHub, role: str, permission: str
) -> None:
    github.set_collaborator(DEMO, "dora", role)
    shown = _asked(client, "/collaborators/dora/permission")
    assert (shown["permission"], shown["role_name"]) == (permission, role)
    assert client.ask("GET", f"{REPOSITORY}/collaborators/dora").status_code == 204


def test_somebody_without_a_role_may_read_what_is_public(
    client: Client, github: SandboxGitHub
) -> None:
    github.add_fork(DEMO, "mallory/demo")
    assert client.ask("GET", f"{REPOSITORY}/collaborators/mallory").status_code == 404
    assert _asked(client, "/collaborators/mallory/permission")["permission"] == "read"
    github.set_repository(DEMO, private=True)
    assert _asked(client, "/collaborators/mallory/permission")["permission"] == "none"


@pytest.mark.parametrize("login", ["nobody", "acme"])
def test_who_is_no_user_has_no_permission(client: Client, login: str) -> None:
    missing = client.ask("GET", f"{REPOSITORY}/collaborators/{login}/permission")
    assert missing.status_code == 404
    assert missing.json()["message"] == f"{login} is not a user"


def test_a_role_that_does_not_exist_is_refused(github: SandboxGitHub) -> None:
    with pytest.raises(ValueError, match="'push' is none of read, triage"):
        github.set_collaborator(DEMO, "dora", "push")


PLACES = ("", "/branches/main", "/rules/branches/main", "/pulls", "/pulls/1", "/pulls/1/reviews")
PLACES += ("/issues/1/comments", "/branches/main/protection", "/collaborators")
PLACES += ("/collaborators/dora/permission",)


@pytest.fixture
def furnished(github: SandboxGitHub) -> SandboxGitHub:
    """Return the sandbox with one of everything in its repository."""
    github.protect(DEMO, "main")
    github.add_ruleset(DEMO, Ruleset())
    github.set_collaborator(DEMO, "dora", "write")
    github.open_pull(DEMO, "mallory/demo:feature")
    github.add_comment(DEMO, 1, "dora", "well done")
    github.add_review(DEMO, 1, "dora")
    return github


@pytest.mark.parametrize("place", PLACES)
def test_an_unchanged_answer_costs_nothing(
    client: Client, furnished: SandboxGitHub, place: str
) -> None:
    first = client.ask("GET", REPOSITORY + place)
    known = {"If-None-Match": first.headers["ETag"]}
    again = client.ask("GET", REPOSITORY + place, headers=known)
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
    assert again.headers["x-ratelimit-used"] == first.headers["x-ratelimit-used"]


def test_a_changed_setting_changes_the_tag(client: Client, furnished: SandboxGitHub) -> None:
    place = f"{REPOSITORY}/collaborators"
    known = {"If-None-Match": client.ask("GET", place).headers["ETag"]}
    furnished.set_collaborator(DEMO, "dora", "read")
    assert client.ask("GET", place, headers=known).status_code == 200


@pytest.mark.parametrize("place", PLACES)
def test_faults_strike_the_settings_too(
    client: Client, furnished: SandboxGitHub, contract: Contract, place: str
) -> None:
    contract.enabled = False
    furnished.faults.add(Fault("GET", REPOSITORY + place, status=502))
    statuses = [client.ask("GET", REPOSITORY + place).status_code for _ in range(2)]
    assert statuses == [502, 200]


@pytest.mark.parametrize("place", PLACES)
def test_an_enterprise_server_has_them_below_its_prefix(
    client: Client, furnished: SandboxGitHub, place: str
) -> None:
    assert client.ask("GET", f"/api/v3{REPOSITORY}{place}").status_code == 200


def _statuses(client: Client, places: tuple[str, ...] = PLACES) -> dict[str, int]:
    return {place: client.ask("GET", REPOSITORY + place).status_code for place in places}


def test_a_token_of_nobody_sees_what_is_public(
    new_client: NewClient, furnished: SandboxGitHub
) -> None:
    furnished.add_token("nobody", "none")
    furnished.add_token("ghp_nobody", scopes=("gist",))
    hidden = {
        "/branches/main/protection",
        "/collaborators",
        "/collaborators/dora/permission",
    }
    for token in ("nobody", "ghp_nobody"):
        seen = _statuses(new_client(furnished.url, token))
        assert seen == {place: 403 if place in hidden else 200 for place in PLACES}


def test_a_token_of_nobody_sees_nothing_of_a_private_repository(
    new_client: NewClient, furnished: SandboxGitHub
) -> None:
    furnished.set_repository(DEMO, private=True)
    furnished.add_token("nobody", "none")
    furnished.add_token("ghp_nobody", scopes=("gist",))
    furnished.add_token("ghp_owner", scopes=("repo",))
    for token in ("nobody", "ghp_nobody"):
        assert set(_statuses(new_client(furnished.url, token)).values()) == {404}
    assert set(_statuses(new_client(furnished.url, "ghp_owner")).values()) == {200}


@pytest.mark.parametrize(
    ("permission", "places"),
    [
        ("administration", {"/branches/main/protection"}),
        ("contents", {"/branches/main"}),
        ("pull_requests", {"/pulls", "/pulls/1", "/pulls/1/reviews", "/issues/1/comments"}),
        ("issues", {"/issues/1/comments"}),
    ],
)
def test_a_private_repository_asks_for_each_permission(
    new_client: NewClient, furnished: SandboxGitHub, permission: str, places: set[str]
) -> None:
    always = {"", "/rules/branches/main", "/collaborators", "/collaborators/dora/permission"}
    furnished.set_repository(DEMO, private=True)
    furnished.add_token("picky", "read", permissions={permission: "read"})
    client = new_client(furnished.url, "picky")
    seen = {place for place, status in _statuses(client).items() if status == 200}
    assert seen == places | always
    refused = client.ask("GET", REPOSITORY + min(set(PLACES) - seen))
    assert refused.status_code == 403
    assert refused.json()["message"] == "Resource not accessible by personal access token"


def test_a_branch_named_as_a_chapter_is_still_a_branch(
    new_client: NewClient, github: SandboxGitHub
) -> None:
    github.set_branch(DEMO, "feature/actions/runners")
    github.add_token("nobody", "none")
    client = new_client(github.url, "nobody")
    place = f"{REPOSITORY}/branches/feature%2Factions%2Frunners"
    assert client.ask("GET", place).status_code == 200


def test_answers_tell_which_permission_they_need(client: Client, furnished: SandboxGitHub) -> None:
    header = "X-Accepted-GitHub-Permissions"
    told = {place: client.ask("GET", REPOSITORY + place).headers[header] for place in PLACES}
    assert told["/branches/main/protection"] == "administration=read"
    assert told["/issues/1/comments"] == "issues=read; pull_requests=read"
    assert told["/collaborators"] == told[""] == "metadata=read"
