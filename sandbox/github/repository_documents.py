"""Branches, rules and collaborators as GitHub's REST API shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.github.profiles import node_id, simple_user

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.github.settings import (
        Branch,
        Collaborator,
        Protection,
        Repository,
        Reviews,
        Ruleset,
    )

Document = dict[str, Any]
_FOUNDED = "2020-01-01T00:00:00Z"


def branch_document(branch: Branch, settings: Repository, base: str) -> Document:
    """Return a branch, and in short how it is protected."""
    url = f"{base}/repos/{settings.full_name}/branches/{branch.name}"
    protected_itself = branch.protection is not None
    checks = {"enforcement_level": "off", "contexts": [], "checks": []}
    return {
        "name": branch.name,
        "commit": _commit(branch.sha, settings, base),
        "_links": {
            "self": url,
            "html": f"{base}/{settings.full_name}/tree/{branch.name}",
        },
        "protected": settings.protects(branch),
        "protection": {"enabled": protected_itself, "required_status_checks": checks},
        "protection_url": f"{url}/protection",
    }


def protection_document(protection: Protection, url: str, base: str) -> Document:
    """Return a branch's protection.

    Args:
        protection: the settings.
        url: the document's own address.
        base: the API's address.
    """
    switches = {
        "required_linear_history": False,
        "allow_force_pushes": protection.allow_force_pushes,
        "allow_deletions": protection.allow_deletions,
        "block_creations": False,
        "required_conversation_resolution": False,
        "lock_branch": False,
        "allow_fork_syncing": False,
    }
    document: Document = {
        "url": url,
        "enforce_admins": {"url": f"{url}/enforce_admins", "enabled": protection.enforce_admins},
        "required_signatures": {"url": f"{url}/required_signatures", "enabled": False},
    } | {name: {"enabled": enabled} for name, enabled in switches.items()}
    if protection.reviews is not None:
        document["required_pull_request_reviews"] = _reviews(protection.reviews, url, base)
    return document


def rule_document(ruleset: Ruleset, rule: Mapping[str, Any], settings: Repository) -> Document:
    """Return one rule, and which ruleset it stands in."""
    return {
        **rule,
        "ruleset_source_type": "Organization" if ruleset.organization else "Repository",
        "ruleset_source": settings.owner if ruleset.organization else settings.full_name,
        "ruleset_id": ruleset.id,
    }


def ruleset_document(ruleset: Ruleset, settings: Repository) -> Document:
    """Return a ruleset; without those who may bypass it, where they are not shown."""
    shown = {
        "id": ruleset.id,
        "name": f"ruleset-{ruleset.id}",
        "target": "branch",
        "source_type": "Organization" if ruleset.organization else "Repository",
        "source": settings.owner if ruleset.organization else settings.full_name,
        "enforcement": ruleset.enforcement,
        "conditions": {"ref_name": {"include": ruleset.include, "exclude": ruleset.exclude}},
        "rules": ruleset.rules,
    }
    return (
        shown if ruleset.bypass_actors is None else shown | {"bypass_actors": ruleset.bypass_actors}
    )


def collaborator_document(collaborator: Collaborator, base: str) -> Document:
    """Return somebody with a role."""
    return simple_user(collaborator.login, base) | {
        "permissions": collaborator.permissions,
        "role_name": collaborator.role,
    }


def permission_document(
    login: str, collaborator: Collaborator | None, base: str, *, private: bool
) -> Document:
    """Return what a user may do, who may have no role at all: then it may read what is public."""
    if collaborator is not None:
        user = collaborator_document(collaborator, base)
        return {
            "permission": collaborator.permission,
            "role_name": collaborator.role,
            "user": user,
        }
    word = "none" if private else "read"
    permissions = dict.fromkeys(("pull", "triage", "push", "maintain", "admin"), False)
    permissions["pull"] = not private
    user = simple_user(login, base) | {"permissions": permissions, "role_name": word}
    return {"permission": word, "role_name": word, "user": user}


def _reviews(reviews: Reviews, url: str, base: str) -> Document:
    document: Document = {
        "url": f"{url}/required_pull_request_reviews",
        "dismiss_stale_reviews": reviews.dismiss_stale_reviews,
        "require_code_owner_reviews": reviews.require_code_owner_reviews,
        "required_approving_review_count": reviews.approvals,
        "require_last_push_approval": reviews.require_last_push_approval,
    }
    if reviews.bypass_users or reviews.bypass_teams or reviews.bypass_apps:
        document["bypass_pull_request_allowances"] = {
            "users": [simple_user(login, base) for login in reviews.bypass_users],
            "teams": [_team(slug, base) for slug in reviews.bypass_teams],
            "apps": [_app(slug, base) for slug in reviews.bypass_apps],
        }
    return document


def _team(slug: str, base: str) -> Document:
    url = f"{base}/teams/{slug}"
    return {
        "id": 1,
        "node_id": node_id("Team", 1),
        "name": slug,
        "slug": slug,
        "description": None,
        "privacy": "closed",
        "permission": "push",
        "url": url,
        "html_url": url,
        "members_url": f"{url}/members{{/member}}",
        "repositories_url": f"{url}/repos",
        "type": "organization",
        "parent": None,
    }


def _app(slug: str, base: str) -> Document:
    return {
        "id": 1,
        "slug": slug,
        "node_id": node_id("Integration", 1),
        "owner": simple_user("apps", base, "Organization"),
        "name": slug,
        "description": None,
        "external_url": base,
        "html_url": f"{base}/apps/{slug}",
        "created_at": _FOUNDED,
        "updated_at": _FOUNDED,
        "permissions": {"contents": "write"},
        "events": [],
    }


def _commit(sha: str, settings: Repository, base: str) -> Document:
    url = f"{base}/repos/{settings.full_name}"
    author = {"name": "octocat", "email": "octocat@example.invalid", "date": _FOUNDED}
    return {
        "sha": sha,
        "node_id": node_id(f"Commit:{sha}", 1),
        "url": f"{url}/commits/{sha}",
        "html_url": f"{base}/{settings.full_name}/commit/{sha}",
        "comments_url": f"{url}/commits/{sha}/comments",
        "commit": {
            "url": f"{url}/git/commits/{sha}",
            "author": author,
            "committer": author,
            "message": "Change something",
            "comment_count": 0,
            "tree": {"sha": sha, "url": f"{url}/git/trees/{sha}"},
        },
        "author": simple_user("octocat", base),
        "committer": simple_user("octocat", base),
        "parents": [],
    }
