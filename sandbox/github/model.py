"""What the sandbox GitHub knows: who owns runners, runner groups, runners and jobs.

Everything here is frozen data. How it changes stands in `sandbox.github.state`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from datetime import datetime

LabelType = Literal["read-only", "custom"]
ScopeKind = Literal["organization", "repository", "enterprise"]
JobStatus = Literal["queued", "in_progress", "completed"]
JobConclusion = Literal["success", "failure", "cancelled"]
Visibility = Literal["all", "selected", "private"]

_ONE_LINE = ("workflow", "name", "event", "sha", "ref", "head_ref", "base_ref", "actor")
_REPOSITORY = re.compile(r"[A-Za-z0-9._-]+/[A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Scope:
    """Where runners are registered: an organisation, one repository or an enterprise."""

    kind: ScopeKind
    id: int
    name: str
    """`acme` for an organisation, `acme/demo` for a repository, `enterprises/big`."""

    @property
    def path(self) -> str:
        """The scope's path in the REST API, by name."""
        places = {"organization": "/orgs/", "repository": "/repos/", "enterprise": "/"}
        return places[self.kind] + self.name

    @property
    def path_by_id(self) -> str:
        """The scope's path as GitHub writes it into Link headers."""
        if self.kind == "enterprise":
            return self.path
        plural = "organizations" if self.kind == "organization" else "repositories"
        return f"/{plural}/{self.id}"


@dataclass(frozen=True)
class RunnerGroup:
    """A group of an organisation's or an enterprise's runners; the default group has number 1."""

    id: int
    owner: str
    """The scope's name."""
    name: str
    visibility: Visibility = "all"
    default: bool = False
    allows_public_repositories: bool = False
    selected: frozenset[str] = frozenset()
    """Repositories (of an enterprise's group: organisations), in lower case.

    They count only where `visibility` is `selected`.
    """
    hosted: bool = False
    """Whether it is for runners that GitHub hosts: no other may join."""
    inherited_from: int | None = None
    """The number that the group has in the organisation's enterprise, if it is that one's."""

    def admits(self, name: str) -> bool:
        """Tell whether jobs of that repository (or organisation) may use the group's runners."""
        return self.visibility != "selected" or name.casefold() in self.selected


@dataclass(frozen=True)
class Label:
    """One label of a runner."""

    name: str
    type: LabelType = "read-only"
    id: int = 0


@dataclass(frozen=True)
class Runner:
    """One registration, from its creation to its deletion."""

    id: int
    name: str
    scope: Scope
    labels: tuple[Label, ...]
    token: str = field(repr=False)
    created_at: datetime
    group_id: int = 1
    ephemeral: bool = True
    work_folder: str = "_work"
    os: str = "unknown"
    version: str | None = None
    online: bool = False
    token_used: bool = False
    session: str | None = None
    """What the runner called its session, if it did."""
    heard_at: datetime | None = None
    job_id: int | None = None

    @property
    def busy(self) -> bool:
        """Whether a job has been handed to the runner and has not ended."""
        return self.job_id is not None

    @property
    def status(self) -> str:
        """GitHub's word for whether a session is open."""
        return "online" if self.online else "offline"

    @property
    def label_names(self) -> frozenset[str]:
        """The labels' names as they are compared: without regard to case."""
        return frozenset(label.name.casefold() for label in self.labels)


@dataclass(frozen=True)
class JobRequest:
    """What a test or demo wants to have run.

    Raises:
        ValueError: the repository is no `owner/name`.
    """

    script: str
    repository: str
    labels: tuple[str, ...] = ("self-hosted",)
    workflow: str = "demo"
    name: str = "build"
    event: str = "push"
    sha: str = ""
    """The commit to run; that of the ref or the pull request, if not told."""
    ref: str = ""
    """The branch or tag, as `refs/…`; the default branch or the pull request's, if not told."""
    pull: int | None = None
    """The number of the pull request that the event is of."""
    head_ref: str = ""
    base_ref: str = ""
    actor: str = ""
    """Who caused the event; the pull request's author or `octocat`, if not told."""
    payload: str | None = None
    """The event file as it stands, JSON or not; what GitHub would write, if not told."""
    always: str = ""
    """Steps with `if: always()`: they run whatever failed before them, a hook too."""
    run_id: int | None = None
    """The number of its workflow run, which others may share; one of its own, if not told."""

    def __post_init__(self) -> None:
        if not _REPOSITORY.fullmatch(self.repository):
            raise ValueError(f"repository must be owner/name, not {self.repository!r}")
        for field_name in _ONE_LINE:
            if "\n" in getattr(self, field_name):
                raise ValueError(f"{field_name} must be one line")
        if self.run_id is not None and self.run_id < 1:
            raise ValueError(f"run_id must be 1 or more, not {self.run_id}")


@dataclass(frozen=True)
class Job:
    """One job of one workflow run, and its fate."""

    id: int
    run_id: int
    repository: str
    workflow: str
    name: str
    event: str
    sha: str
    labels: tuple[str, ...]
    script: str
    queued_at: datetime
    ref: str = ""
    head_ref: str = ""
    base_ref: str = ""
    actor: str = ""
    payload: str = field(default="", repr=False)
    """What the runner writes to the event file."""
    always: str = ""
    status: JobStatus = "queued"
    conclusion: JobConclusion | None = None
    runner_id: int | None = None
    """The runner it was handed to; set before the runner reports its start."""
    runner_name: str | None = None
    runner_group_id: int | None = None
    runner_group_name: str | None = None
    handed_out_at: datetime | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None
    log: str = ""
    requeues: int = 0
    lost_by: tuple[str, ...] = ()
    """The runners that were lost while they had it, the first one first."""

    @property
    def waits_for_a_runner(self) -> bool:
        """Whether it is queued and handed to nobody."""
        return self.status == "queued" and self.runner_id is None
