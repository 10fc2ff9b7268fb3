"""Branches, rules, collaborators and pull requests as GitHub's REST API shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.github.documents import timestamp
from sandbox.github.profiles import node_id, repository, simple_user

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.github.profiles import RepositoryProfile
    from sandbox.github.settings import (
        Branch,
        Collaborator,
        Comment,
        Protection,
        PullRequest,
        Repository,
        Review,
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


def simple_pull_document(
    pull: PullRequest, target: RepositoryProfile, head: RepositoryProfile | None, base: str
) -> Document:
    """Return a pull request as it stands in a listing.

    Args:
        pull: the pull request.
        target: the repository it is to be merged into.
        head: the repository it comes from, None where that has been deleted.
        base: the API's address.
    """
    url = f"{base}{target.path}/pulls/{pull.number}"
    issue = f"{base}{target.path}/issues/{pull.number}"
    html = f"{base}/{target.full_name}/pull/{pull.number}"
    urls = {
        "url": url,
        "html_url": html,
        "diff_url": f"{html}.diff",
        "patch_url": f"{html}.patch",
        "issue_url": issue,
        "commits_url": f"{url}/commits",
        "review_comments_url": f"{url}/comments",
        "review_comment_url": f"{base}{target.path}/pulls/comments{{/number}}",
        "comments_url": f"{issue}/comments",
        "statuses_url": f"{base}{target.path}/statuses/{pull.head_sha}",
    }
    links = {
        "self": url,
        "html": html,
        "issue": issue,
        "comments": urls["comments_url"],
        "review_comments": urls["review_comments_url"],
        "review_comment": urls["review_comment_url"],
        "commits": urls["commits_url"],
        "statuses": urls["statuses_url"],
    }
    return urls | {
        "id": 1_000_000 + pull.number,
        "node_id": node_id("PullRequest", pull.number),
        "number": pull.number,
        "state": pull.state,
        "locked": False,
        "title": pull.title,
        "user": simple_user(pull.author, base),
        "body": pull.body,
        "labels": [],
        "milestone": None,
        "created_at": timestamp(pull.created_at),
        "updated_at": timestamp(pull.updated_at),
        "closed_at": timestamp(pull.closed_at) if pull.closed_at else None,
        "merged_at": timestamp(pull.merged_at) if pull.merged_at else None,
        "merge_commit_sha": pull.merge_sha,
        "assignee": None,
        "assignees": [],
        "requested_reviewers": [],
        "requested_teams": [],
        "head": {
            "label": pull.label,
            "ref": pull.head_ref,
            "sha": pull.head_sha,
            "user": simple_user(pull.head_owner, base, head.owner_kind if head else "User"),
            "repo": repository(head, base) if head else None,
        },
        "base": {
            "label": f"{target.full_name.split('/')[0]}:{pull.base_ref}",
            "ref": pull.base_ref,
            "sha": pull.base_sha,
            "user": simple_user(target.full_name.split("/")[0], base, target.owner_kind),
            "repo": repository(target, base),
        },
        "_links": {name: {"href": href} for name, href in links.items()},
        "author_association": "NONE",
        "auto_merge": None,
        "draft": pull.draft,
    }


def pull_document(
    pull: PullRequest,
    target: RepositoryProfile,
    head: RepositoryProfile | None,
    base: str,
    *,
    comments: int = 0,
) -> Document:
    """Return a pull request in full."""
    is_open = pull.state == "open"
    return simple_pull_document(pull, target, head, base) | {
        "merged": pull.merged_at is not None,
        "mergeable": True if is_open else None,
        "rebaseable": True if is_open else None,
        "mergeable_state": "clean" if is_open else "unknown",
        "merged_by": None,
        "comments": comments,
        "review_comments": 0,
        "maintainer_can_modify": False,
        "commits": 1,
        "additions": 1,
        "deletions": 0,
        "changed_files": 1,
    }


def comment_document(comment: Comment, settings: Repository, base: str) -> Document:
    """Return a comment."""
    issue = f"{base}/repos/{settings.full_name}/issues"
    html = f"{base}/{settings.full_name}/pull/{comment.number}#issuecomment-{comment.id}"
    return {
        "id": comment.id,
        "node_id": node_id("IssueComment", comment.id),
        "url": f"{issue}/comments/{comment.id}",
        "html_url": html,
        "issue_url": f"{issue}/{comment.number}",
        "user": simple_user(comment.author, base),
        "body": comment.body,
        "created_at": timestamp(comment.created_at),
        "updated_at": timestamp(comment.updated_at),
        "author_association": association(comment.author, settings),
        "performed_via_github_app": None,
    }


def review_document(review: Review, settings: Repository, base: str) -> Document:
    """Return a review."""
    pull = f"{base}/repos/{settings.full_name}/pulls/{review.number}"
    html = f"{base}/{settings.full_name}/pull/{review.number}#pullrequestreview-{review.id}"
    return {
        "id": review.id,
        "node_id": node_id("PullRequestReview", review.id),
        "user": simple_user(review.author, base),
        "body": review.body,
        "state": review.state,
        "html_url": html,
        "pull_request_url": pull,
        "_links": {"html": {"href": html}, "pull_request": {"href": pull}},
        "submitted_at": timestamp(review.submitted_at),
        "commit_id": review.commit_id,
        "author_association": association(review.author, settings),
    }


def association(login: str, settings: Repository) -> str:
    """Return what GitHub calls somebody's association with a repository."""
    collaborator = settings.collaborator(login)
    if collaborator is None:
        return "NONE"
    return "COLLABORATOR" if collaborator.affiliation == "outside" else "MEMBER"


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
