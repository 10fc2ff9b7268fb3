"""Organisations, repositories and users as the REST API shows them: mostly addresses."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from sandbox.github.model import Scope

AccountKind = Literal["Organization", "User"]

_FOUNDED = "2020-01-01T00:00:00Z"

# Template suffixes as api.github.com appends them to a repository's own address.
_REPOSITORY_URLS = {
    "archive_url": "/{archive_format}{/ref}",
    "assignees_url": "/assignees{/user}",
    "blobs_url": "/git/blobs{/sha}",
    "branches_url": "/branches{/branch}",
    "collaborators_url": "/collaborators{/collaborator}",
    "comments_url": "/comments{/number}",
    "commits_url": "/commits{/sha}",
    "compare_url": "/compare/{base}...{head}",
    "contents_url": "/contents/{+path}",
    "contributors_url": "/contributors",
    "deployments_url": "/deployments",
    "downloads_url": "/downloads",
    "events_url": "/events",
    "forks_url": "/forks",
    "git_commits_url": "/git/commits{/sha}",
    "git_refs_url": "/git/refs{/sha}",
    "git_tags_url": "/git/tags{/sha}",
    "hooks_url": "/hooks",
    "issue_comment_url": "/issues/comments{/number}",
    "issue_events_url": "/issues/events{/number}",
    "issues_url": "/issues{/number}",
    "keys_url": "/keys{/key_id}",
    "labels_url": "/labels{/name}",
    "languages_url": "/languages",
    "merges_url": "/merges",
    "milestones_url": "/milestones{/number}",
    "notifications_url": "/notifications{?since,all,participating}",
    "pulls_url": "/pulls{/number}",
    "releases_url": "/releases{/id}",
    "stargazers_url": "/stargazers",
    "statuses_url": "/statuses/{sha}",
    "subscribers_url": "/subscribers",
    "subscription_url": "/subscription",
    "tags_url": "/tags",
    "teams_url": "/teams",
    "trees_url": "/git/trees{/sha}",
}

_USER_URLS = {
    "events_url": "/events{/privacy}",
    "followers_url": "/followers",
    "following_url": "/following{/other_user}",
    "gists_url": "/gists{/gist_id}",
    "organizations_url": "/orgs",
    "received_events_url": "/received_events",
    "repos_url": "/repos",
    "starred_url": "/starred{/owner}{/repo}",
    "subscriptions_url": "/subscriptions",
}

_COUNTS = (
    "forks",
    "forks_count",
    "network_count",
    "open_issues",
    "open_issues_count",
    "size",
    "stargazers_count",
    "subscribers_count",
    "watchers",
    "watchers_count",
)
_SWITCHES = (
    "archived",
    "disabled",
    "has_discussions",
    "has_downloads",
    "has_issues",
    "has_pages",
    "has_projects",
    "has_wiki",
)


@dataclass(frozen=True)
class RepositoryProfile:
    """What other documents tell of a repository."""

    id: int
    full_name: str
    owner_kind: AccountKind = "Organization"
    private: bool = False
    default_branch: str = "main"
    parent: RepositoryProfile | None = None

    @property
    def path(self) -> str:
        """Its path in the REST API."""
        return f"/repos/{self.full_name}"


def simple_user(login: str, base: str, kind: AccountKind = "User") -> dict[str, Any]:
    """Return an account as it appears inside other documents."""
    url = f"{base}/users/{login}"
    # Made up, and always the same for the same login.
    number = zlib.crc32(login.casefold().encode()) + 1
    return {
        "login": login,
        "id": number,
        "node_id": node_id(kind, number),
        "avatar_url": f"{base}/avatars/{login}",
        "gravatar_id": "",
        "url": url,
        "html_url": f"{base}/{login}",
        "type": kind,
        "site_admin": False,
    } | {name: url + suffix for name, suffix in _USER_URLS.items()}


def organization(scope: Scope, base: str) -> dict[str, Any]:
    """Return an organisation."""
    url = f"{base}/orgs/{scope.name}"
    return {
        "login": scope.name,
        "id": scope.id,
        "node_id": node_id("Organization", scope.id),
        "url": url,
        "repos_url": f"{url}/repos",
        "events_url": f"{url}/events",
        "hooks_url": f"{url}/hooks",
        "issues_url": f"{url}/issues",
        "members_url": f"{url}/members{{/member}}",
        "public_members_url": f"{url}/public_members{{/member}}",
        "avatar_url": f"{base}/avatars/{scope.name}",
        "description": None,
        "html_url": f"{base}/{scope.name}",
        "has_organization_projects": False,
        "has_repository_projects": False,
        "public_repos": 0,
        "public_gists": 0,
        "followers": 0,
        "following": 0,
        "type": "Organization",
        "created_at": _FOUNDED,
        "updated_at": _FOUNDED,
        "archived_at": None,
    }


def minimal_repository(profile: RepositoryProfile, base: str) -> dict[str, Any]:
    """Return a repository as it appears inside other documents."""
    owner, name = profile.full_name.split("/")
    url = base + profile.path
    return {
        "id": profile.id,
        "node_id": node_id("Repository", profile.id),
        "name": name,
        "full_name": profile.full_name,
        "owner": simple_user(owner, base, profile.owner_kind),
        "private": profile.private,
        "html_url": f"{base}/{profile.full_name}",
        "description": None,
        "fork": profile.parent is not None,
        "url": url,
    } | {key: url + suffix for key, suffix in _REPOSITORY_URLS.items()}


def repository(profile: RepositoryProfile, base: str) -> dict[str, Any]:
    """Return a repository in full, but for its parent."""
    html_url = f"{base}/{profile.full_name}"
    addresses = {
        "clone_url": f"{html_url}.git",
        "git_url": f"{html_url}.git",
        "ssh_url": f"{html_url}.git",
        "svn_url": html_url,
    }
    facts: dict[str, Any] = {
        "default_branch": profile.default_branch,
        "homepage": None,
        "language": None,
        "license": None,
        "mirror_url": None,
        "visibility": "private" if profile.private else "public",
        "created_at": _FOUNDED,
        "updated_at": _FOUNDED,
        "pushed_at": _FOUNDED,
    }
    numbers: dict[str, Any] = dict.fromkeys(_COUNTS, 0) | dict.fromkeys(_SWITCHES, False)
    return minimal_repository(profile, base) | addresses | facts | numbers


def full_repository(profile: RepositoryProfile, base: str) -> dict[str, Any]:
    """Return a repository in full, with what it is a fork of."""
    document = repository(profile, base)
    if profile.parent is not None:
        parent = repository(profile.parent, base)
        document |= {"parent": parent, "source": parent}
    return document


def node_id(kind: str, number: int) -> str:
    """Return an opaque global identifier."""
    return base64.b64encode(f"0:{kind}:{number}".encode()).decode()
