"""A repository at GitHub as the policy service sees it: its settings, and the answers they give.

Answers hold what the service reads and nothing else, so that a test can take any of it away.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

REPOSITORY = "acme/demo"
FORK = "outsider/demo"
SHA = "0123456789abcdef0123456789abcdef01234567"
APPROVAL = f"/canonical/self-hosted-runners/run-workflows {SHA}"
NOT_FOUND = (404, {"message": "Not Found"})


@dataclass
class World:
    """Settings in which everything is in order for a pull request of a fork."""

    default_branch: str = "main"
    protected: bool = True
    reviews: dict[str, Any] | None = field(
        default_factory=lambda: {"required_approving_review_count": 1}
    )
    """Of the branch protection; None where there is no branch protection."""
    rules: list[dict[str, Any]] = field(default_factory=list)
    rulesets: dict[int, dict[str, Any]] = field(default_factory=dict)
    outside: list[dict[str, Any]] = field(
        default_factory=lambda: [{"login": "reader", "role_name": "read"}]
    )
    permissions: dict[str, str] = field(
        default_factory=lambda: {"outsider": "read", "maintainer": "write"}
    )
    pulls: list[dict[str, Any]] = field(default_factory=lambda: [pull()])
    comments: list[dict[str, Any]] = field(
        default_factory=lambda: [comment("maintainer", APPROVAL)]
    )

    def answer(self, path: str) -> tuple[int, Any]:  # noqa: PLR0911 - one for each endpoint
        """Answer a request: status and data, the whole list where it is one."""
        parts = unquote(urlsplit(path).path).split("/")[4:]  # whatever the repository's name is
        match parts:
            case []:
                return 200, {"default_branch": self.default_branch}
            case ["branches", "main"]:
                return 200, {"protected": self.protected}
            case ["branches", "main", "protection"]:
                found = {"required_pull_request_reviews": self.reviews}
                return (200, found) if self.reviews is not None else NOT_FOUND
            case ["rules", "branches", "main"]:
                return 200, self.rules
            case ["rulesets", number] if int(number) in self.rulesets:
                return 200, self.rulesets[int(number)]
            case ["collaborators"]:
                return 200, self.outside
            case ["collaborators", login, "permission"] if login in self.permissions:
                return 200, {"permission": self.permissions[login], "user": {"login": login}}
            case ["pulls"]:
                wanted = parse_qs(urlsplit(path).query)["head"][0]
                return 200, [one for one in self.pulls if _label(one) == wanted]
            case ["issues", "7", "comments"]:
                return 200, self.comments
            case _:
                return NOT_FOUND


def pull(repository: str | None = FORK, branch: str = "feature", number: int = 7) -> dict[str, Any]:
    repo = None if repository is None else {"full_name": repository}
    return {"number": number, "state": "open", "head": {"ref": branch, "repo": repo}}


def comment(author: str | None, body: str | None, **fields: Any) -> dict[str, Any]:
    return {"user": None if author is None else {"login": author}, "body": body, **fields}


def pull_request_rule(ruleset_id: int = 3, approvals: int = 1) -> dict[str, Any]:
    return {
        "type": "pull_request",
        "parameters": {"required_approving_review_count": approvals},
        "ruleset_id": ruleset_id,
        "ruleset_source": "acme",
    }


def body(**changes: Any) -> dict[str, Any]:
    """What a guest asks about a pull request of a fork."""
    return {
        "repository_name": REPOSITORY,
        "source_repository_name": FORK,
        "target_branch_name": "main",
        "source_branch_name": "feature",
        "commit_sha": SHA,
        **changes,
    }


def page_of(path: str, data: list[Any]) -> tuple[list[Any], bool]:
    """Give the page of a list that is asked for, and whether another one follows."""
    query = parse_qs(urlsplit(path).query)
    size, number = int(query["per_page"][0]), int(query["page"][0])
    return data[(number - 1) * size : number * size], len(data) > number * size


def _label(one: dict[str, Any]) -> str:
    repo = one["head"]["repo"]
    owner = repo["full_name"].split("/")[0] if repo else "outsider"
    return f"{owner}:{one['head']['ref']}"
