from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.scope import GitHubPlace, Scope, ScopeKind


@pytest.mark.parametrize(
    ("path", "kind", "api_path", "has_groups"),
    [
        ("acme", ScopeKind.ORGANISATION, "/orgs/acme", True),
        ("acme/demo", ScopeKind.REPOSITORY, "/repos/acme/demo", False),
        ("acme/.github", ScopeKind.REPOSITORY, "/repos/acme/.github", False),
        ("enterprises/acme", ScopeKind.ENTERPRISE, "/enterprises/acme", True),
    ],
)
def test_a_path_says_whose_runners_are_managed(
    path: str, kind: ScopeKind, api_path: str, *, has_groups: bool
) -> None:
    scope = Scope.parse(path)
    assert (scope.kind, scope.api_path, scope.has_groups) == (kind, api_path, has_groups)


@given(st.text())
def test_no_path_leads_elsewhere(path: str) -> None:
    try:
        api_path = Scope.parse(path).api_path
    except ValueError:
        return
    assert api_path.count("/") <= 3
    assert not set(api_path) & set("?#%\\ \n")
    assert ".." not in api_path.split("/")


@pytest.mark.parametrize("path", ["", "/", "a/", "/a", "a/..", "a/.", "a/b/c", "a b", "-a", "a\n"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="must be an organisation, owner/repository or enterpr"):
        Scope.parse(path)


@pytest.mark.parametrize(
    ("path", "needs"),
    [
        ("acme", ('"Self-hosted runners: write"', "admin:org")),
        ("acme/demo", ('"Administration: write"', "scope repo")),
        ("enterprises/acme", ('"Enterprise self-hosted runners: write"', "manage_runners:enter")),
    ],
)
def test_what_a_credential_needs_is_said_in_githubs_words(
    path: str, needs: tuple[str, ...]
) -> None:
    said = Scope.parse(path).needs(write=True)
    assert all(word in said for word in needs)


@pytest.mark.parametrize(
    ("url", "api_url", "published"),
    [
        ("https://github.com", "https://api.github.com", True),
        ("https://GitHub.com/", "https://api.github.com", True),
        ("https://api.github.com", "https://api.github.com", True),
        ("https://acme.ghe.com", "https://api.acme.ghe.com", True),
        ("https://api.acme.ghe.com", "https://api.acme.ghe.com", True),
        ("https://git.acme.example", "https://git.acme.example/api/v3", False),
        ("https://git.acme.example:8443/api/v3/", "https://git.acme.example:8443/api/v3", False),
        ("https://api.acme.example", "https://api.acme.example/api/v3", False),
        ("https://notgithub.com", "https://notgithub.com/api/v3", False),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/api/v3", False),
        ("http://10.0.0.1", "http://10.0.0.1/api/v3", False),
        ("http://[::1]:80", "http://[::1]:80/api/v3", False),
        ("http://localhost", "http://localhost/api/v3", False),
    ],
)
def test_one_address_says_where_the_api_is(url: str, api_url: str, *, published: bool) -> None:
    assert GitHubPlace.parse(url) == GitHubPlace(api_url, published)


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("http://git.acme.example", "must begin with https"),
        ("http://8.8.8.8", "must begin with https"),
        ("http://github.com", "must begin with https"),
        ("https://github.com/acme", "must end at the host"),
        ("https://git.acme.example/acme", "must end at the host, or in /api/v3"),
    ],
)
def test_an_address_that_can_not_be_right_is_refused(url: str, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        GitHubPlace.parse(url)
