"""Pull requests, their comments and reviews as GitHub's REST API shows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.github.documents import timestamp
from sandbox.github.profiles import node_id, repository, simple_user

if TYPE_CHECKING:
    from sandbox.github.profiles import RepositoryProfile
    from sandbox.github.settings import Comment, PullRequest, Repository, Review

Document = dict[str, Any]


@dataclass(frozen=True)
class PullContext:
    """What a pull request's document tells of its surroundings."""

    settings: Repository
    """Of the repository it is to be merged into."""
    target: RepositoryProfile
    """The same repository."""
    head: RepositoryProfile | None
    """The repository it comes from, None where that has been deleted."""
    base: str
    """The API's address."""


def simple_pull_document(pull: PullRequest, context: PullContext) -> Document:
    """Return a pull request as it stands in a listing."""
    target, head, base = context.target, context.head, context.base
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
        "author_association": _association(pull.author, context.settings),
        "auto_merge": None,
        "draft": pull.draft,
    }


def pull_document(pull: PullRequest, context: PullContext) -> Document:
    """Return a pull request in full."""
    is_open = pull.state == "open"
    comments = [one for one in context.settings.comments if one.number == pull.number]
    return simple_pull_document(pull, context) | {
        "merged": pull.merged_at is not None,
        "mergeable": True if is_open else None,
        "rebaseable": True if is_open else None,
        "mergeable_state": "clean" if is_open else "unknown",
        "merged_by": None,
        "comments": len(comments),
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
        "author_association": _association(comment.author, settings),
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
        "author_association": _association(review.author, settings),
    }


def _association(login: str, settings: Repository) -> str:
    """Return what GitHub calls somebody's association with a repository."""
    collaborator = settings.collaborator(login)
    if collaborator is None:
        return "NONE"
    return "COLLABORATOR" if collaborator.affiliation == "outside" else "MEMBER"
