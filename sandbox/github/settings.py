"""What a repository's owners can set: branches, rules, who may do what, and its pull requests.

Everything here is frozen data. How it changes stands in `sandbox.github.repositories`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from datetime import datetime

BaseRole = Literal["read", "triage", "write", "maintain", "admin"]
Affiliation = Literal["outside", "direct", "member"]
Enforcement = Literal["active", "evaluate", "disabled"]
PullState = Literal["open", "closed"]
ReviewState = Literal["APPROVED", "CHANGES_REQUESTED", "COMMENTED", "DISMISSED", "PENDING"]

ROLES: tuple[BaseRole, ...] = get_args(BaseRole)
"""The roles that GitHub has of its own, each with all that the one before it may do."""
PERMISSIONS = ("pull", "triage", "push", "maintain", "admin")
"""The permissions in which GitHub counts, one for each of the roles."""
_LEGACY = ("read", "read", "write", "write", "admin")


@dataclass(frozen=True)
class Collaborator:
    """Somebody with a role in a repository.

    Raises:
        ValueError: the role is not GitHub's own, and no base tells what it may do.
    """

    login: str
    role: str = "write"
    """One of GitHub's own roles, or an organisation's own."""
    base: BaseRole | None = None
    """The role of GitHub's that an organisation's own one is built on."""
    affiliation: Affiliation = "direct"
    """An outside collaborator, a member with direct access, or one by a team or by default."""

    def __post_init__(self) -> None:
        if (self.base or self.role) not in ROLES:
            raise ValueError(f"role {self.role!r} is none of {', '.join(ROLES)} and has no base")
        if self.affiliation not in get_args(Affiliation):
            raise ValueError(f"affiliation must be one of {', '.join(get_args(Affiliation))}")

    @property
    def rank(self) -> int:
        """The place among `ROLES` of what it may do."""
        return [str(role) for role in ROLES].index(self.base or self.role)

    @property
    def permissions(self) -> dict[str, bool]:
        """What it may do, as GitHub tells it."""
        return {name: place <= self.rank for place, name in enumerate(PERMISSIONS)}

    @property
    def permission(self) -> str:
        """What it may do in GitHub's older words: `read`, `write` or `admin`."""
        return _LEGACY[self.rank]

    def has_affiliation(self, wanted: str) -> bool:
        """Tell whether it is one of the `outside`, `direct` or `all` collaborators."""
        return {
            "outside": self.affiliation == "outside",
            "direct": self.affiliation != "member",
            "all": True,
        }[wanted]


@dataclass(frozen=True)
class Reviews:
    """What a protected branch wants of a pull request, and who need not have one."""

    approvals: int = 1
    dismiss_stale_reviews: bool = False
    require_code_owner_reviews: bool = False
    require_last_push_approval: bool = False
    bypass_users: tuple[str, ...] = ()
    bypass_teams: tuple[str, ...] = ()
    bypass_apps: tuple[str, ...] = ()


@dataclass(frozen=True)
class Protection:
    """A branch's protection."""

    reviews: Reviews | None = field(default_factory=Reviews)
    """None where no pull request is required."""
    enforce_admins: bool = True
    allow_force_pushes: bool = False
    allow_deletions: bool = False


@dataclass(frozen=True)
class Branch:
    """A branch and its newest commit."""

    name: str
    sha: str
    protection: Protection | None = None


def pull_request_rule(approvals: int = 1, **parameters: Any) -> dict[str, Any]:
    """Return a ruleset's rule that wants a pull request with so many approvals."""
    return {
        "type": "pull_request",
        "parameters": {
            "required_approving_review_count": approvals,
            "dismiss_stale_reviews_on_push": False,
            "require_code_owner_review": False,
            "require_last_push_approval": False,
            "required_review_thread_resolution": False,
            "allowed_merge_methods": ["merge", "squash", "rebase"],
        }
        | parameters,
    }


@dataclass(frozen=True)
class Ruleset:
    """Rules for those branches whose names fit."""

    rules: tuple[Mapping[str, Any], ...] = field(default_factory=lambda: (pull_request_rule(),))
    """As GitHub writes them: `type` and `parameters`."""
    include: tuple[str, ...] = ("~DEFAULT_BRANCH",)
    """`~DEFAULT_BRANCH`, `~ALL`, or shell patterns of `refs/heads/…`."""
    exclude: tuple[str, ...] = ()
    enforcement: Enforcement = "active"
    organization: bool = False
    """Whether it is the organisation's and not the repository's own."""
    bypass_actors: tuple[Mapping[str, Any], ...] | None = ()
    """As GitHub writes them; None where it shows them to nobody who may not change the ruleset."""
    id: int = 0
    """Given by the repository that it is added to."""

    def applies(self, branch: str, default_branch: str) -> bool:
        """Tell whether it is in force for a branch, whether that exists or not."""
        if self.enforcement != "active":
            return False
        return _fits(self.include, branch, default_branch) and not _fits(
            self.exclude, branch, default_branch
        )


@dataclass(frozen=True)
class PullRequest:
    """A pull request, from a branch of the same repository or of a fork."""

    number: int
    title: str
    author: str
    head_owner: str
    head_ref: str
    head_sha: str
    base_ref: str
    base_sha: str
    head_repository: str | None
    """None where the fork has been deleted since."""
    created_at: datetime
    updated_at: datetime
    state: PullState = "open"
    draft: bool = False
    merged_at: datetime | None = None
    closed_at: datetime | None = None
    body: str | None = None

    @property
    def label(self) -> str:
        """The head as GitHub names it and as its list is searched: `owner:branch`."""
        return f"{self.head_owner}:{self.head_ref}"

    @property
    def merge_sha(self) -> str:
        """The commit in which GitHub tries the merge: what a workflow run is given."""
        return commit_sha("merge", str(self.number), self.base_sha, self.head_sha)


@dataclass(frozen=True)
class Comment:
    """A comment below a pull request."""

    id: int
    number: int
    author: str
    body: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class Review:
    """A review of a pull request."""

    id: int
    number: int
    author: str
    state: ReviewState
    commit_id: str
    body: str
    submitted_at: datetime


@dataclass(frozen=True)
class Repository:
    """All settings of a repository, and its pull requests."""

    full_name: str
    private: bool = False
    parent: str | None = None
    """The repository that it is a fork of."""
    default_branch: str = "main"
    branches: Mapping[str, Branch] = field(default_factory=dict)
    rulesets: tuple[Ruleset, ...] = ()
    collaborators: Mapping[str, Collaborator] = field(default_factory=dict)
    """By login in lower case."""
    pulls: Mapping[int, PullRequest] = field(default_factory=dict)
    comments: tuple[Comment, ...] = ()
    reviews: tuple[Review, ...] = ()

    @property
    def owner(self) -> str:
        """Its owner's login."""
        return self.full_name.split("/", 1)[0]

    def branch(self, name: str) -> Branch | None:
        """Return a branch; the default one always exists."""
        if name not in self.branches and name == self.default_branch:
            return Branch(name, commit_sha(self.full_name, name))
        return self.branches.get(name)

    def rules_for(self, branch: str) -> list[tuple[Ruleset, Mapping[str, Any]]]:
        """Return the rules in force for a branch, each with the ruleset it stands in."""
        return [
            (ruleset, rule)
            for ruleset in self.rulesets
            if ruleset.applies(branch, self.default_branch)
            for rule in ruleset.rules
        ]

    def protects(self, branch: Branch) -> bool:
        """Tell what GitHub calls `protected`: by branch protection or by a ruleset."""
        return branch.protection is not None or bool(self.rules_for(branch.name))

    def collaborator(self, login: str) -> Collaborator | None:
        """Return a user's role, if it has one."""
        return self.collaborators.get(login.casefold())

    def people(self) -> set[str]:
        """Return the logins, in lower case, of all who have had to do with it."""
        authors = {name for pull in self.pulls.values() for name in (pull.author, pull.head_owner)}
        authors |= {comment.author for comment in self.comments}
        authors |= {review.author for review in self.reviews}
        return {name.casefold() for name in (*authors, self.owner)} | {*self.collaborators}


def commit_sha(*parts: str) -> str:
    """Return a made-up commit's name, the same for the same parts."""
    return hashlib.sha1("\0".join(parts).encode(), usedforsecurity=False).hexdigest()


def _fits(patterns: tuple[str, ...], branch: str, default_branch: str) -> bool:
    return any(
        pattern == "~ALL"
        or (pattern == "~DEFAULT_BRANCH" and branch == default_branch)
        or fnmatchcase(f"refs/heads/{branch}", pattern)
        for pattern in patterns
    )
