from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.github.scope import GitHubPlace, Scope, ScopeKind


@pytest.mark.parametrize(
    ("path", "kind", "api_path", "has_groups"),
    [
        ("acme", ScopeKind.ORGANISATION, "/orgs/acme", True),
        ("acme/demo", ScopeKind.REPOSITORY, "/repos/acme/demo", False),
        ("acme/.github", ScopeKind.REPOSITORY, "/repos/acme/.github", False),
        ("octocat_acme/demo", ScopeKind.REPOSITORY, "/repos/octocat_acme/demo", False),
        ("enterprises/acme", ScopeKind.ENTERPRISE, "/enterprises/acme", True),
        ("Enterprises/acme", ScopeKind.ENTERPRISE, "/enterprises/acme", True),
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


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "a/",
        "/a",
        "a/..",
        "a/.",
        "a/b/c",
        "a b",
        "-a",
        "a\n",
        "a_b",
        "enterprises",
        "orgs/a",
    ],
)
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
    ("url", "web", "api_url"),
    [
        ("https://github.com", "https://github.com", "https://api.github.com"),
        ("https://GitHub.com./", "https://github.com", "https://api.github.com"),
        ("https://github.com:443", "https://github.com", "https://api.github.com"),
        ("https://api.github.com", "https://github.com", "https://api.github.com"),
        ("https://acme.ghe.com", "https://acme.ghe.com", "https://api.acme.ghe.com"),
        ("https://api.acme.ghe.com", "https://acme.ghe.com", "https://api.acme.ghe.com"),
    ],
)
def test_githubs_own_places_are_known_by_either_address(url: str, web: str, api_url: str) -> None:
    assert GitHubPlace.parse(url) == GitHubPlace(web, api_url, has_published_limits=True)


@pytest.mark.parametrize(
    ("url", "web"),
    [
        ("https://git.acme.example", "https://git.acme.example"),
        ("https://Git.acme.example:443/", "https://git.acme.example"),
        ("https://git.acme.example:", "https://git.acme.example"),
        ("https://git.acme.example:8443/api/v3/", "https://git.acme.example:8443"),
        ("https://api.acme.example", "https://api.acme.example"),
        ("https://notgithub.com", "https://notgithub.com"),
        ("https://8.8.8.8", "https://8.8.8.8"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://10.0.0.1/api/v3", "http://10.0.0.1"),
        ("http://[::1]:80", "http://[::1]"),
        ("http://[fd00::1]:81", "http://[fd00::1]:81"),
        ("http://[::ffff:10.0.0.1]", "http://[::ffff:10.0.0.1]"),
        ("http://localhost", "http://localhost"),
    ],
)
def test_any_other_host_is_an_enterprise_server(url: str, web: str) -> None:
    place = GitHubPlace(web, f"{web}/api/v3", has_published_limits=False)
    assert GitHubPlace.parse(url) == place


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("http://git.acme.example", "must begin with https"),
        ("http://8.8.8.8", "must begin with https"),
        ("http://[2606:4700::1]", "must begin with https"),
        ("http://[::ffff:8.8.8.8]", "must begin with https"),
        ("http://github.com", "must begin with https"),
        ("https://github.com/acme", "must end at the host: https://github.com"),
        ("https://github.com:8443", "must end at the host: https://github.com"),
        ("https://acme.ghe.com/api/v3", "must end at the host: https://acme.ghe.com"),
        ("https://www.github.com", "must be https://github.com or https://TENANT.ghe.com"),
        ("https://ghe.com", "must be https://github.com or https://TENANT.ghe.com"),
        ("https://api.ghe.com", "must be https://github.com or https://TENANT.ghe.com"),
        ("https://a.b.ghe.com", "must be https://github.com or https://TENANT.ghe.com"),
        ("https://git.acme.example/acme", "host, or in /api/v3: https://git.acme.example"),
        ("https://*", "must name a host"),
        ("ftp://127.0.0.1", "must begin with https"),
    ],
)
def test_an_address_that_can_not_be_right_is_refused(url: str, rule: str) -> None:
    with pytest.raises(ValueError, match=re.escape(rule)):
        GitHubPlace.parse(url)


ports = st.none() | st.integers(1, 65535)
hosts = st.sampled_from(["github.com", "ghe.com"]) | st.from_regex(
    r"(api\.)?[a-z0-9-]{1,9}(\.(ghe\.com|github\.com|example))?", fullmatch=True
)
paths = st.sampled_from(["", "/", "/api/v3", "/api/v3/"])


def addresses(host: str, port: int | None, path: str, scheme: str) -> str:
    return f"{scheme}://{host}" + ("" if port is None else f":{port}") + path


@given(hosts, ports, paths)
def test_both_addresses_of_a_place_lead_to_it_again(host: str, port: int | None, path: str) -> None:
    try:
        place = GitHubPlace.parse(addresses(host, port, path, "https"))
    except ValueError:
        assert "api" in host or "github.com" in host or "ghe.com" in host
        return
    assert GitHubPlace.parse(place.url) == GitHubPlace.parse(place.api_url) == place


@given(st.ip_addresses(), ports, paths)
def test_clear_text_stays_within_private_networks(
    address: IPv4Address | IPv6Address, port: int | None, path: str
) -> None:
    host = f"[{address}]" if address.version == 6 else str(address)
    url = addresses(host, port, path, "http")
    mapped = getattr(address, "ipv4_mapped", None) or address
    if mapped.is_global:
        with pytest.raises(ValueError, match="must begin with https"):
            GitHubPlace.parse(url)
    else:
        assert GitHubPlace.parse(url).api_url.startswith("http://")


@given(st.text() | st.from_regex(r"[a-z]{0,5}:/{0,3}[!-~]{0,20}", fullmatch=True))
def test_whatever_is_given_as_an_address_is_one_or_is_refused(url: str) -> None:
    try:
        place = GitHubPlace.parse(url)
    except ValueError:
        return
    assert place.api_url.startswith(("https://", "http://"))
