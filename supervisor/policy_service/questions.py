"""What is asked: the bodies of requests, taken only where they are what they ought to be.

They come from guests. Whatever they hold becomes part of addresses at GitHub and of reasons that
are shown, so that each part has the form that GitHub gives it.
"""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

_REPOSITORY = re.compile(r"[A-Za-z0-9._-]{1,100}/[A-Za-z0-9._-]{1,100}")
_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_LONGEST_BRANCH = 255
_NOT_IN_BRANCHES = set(" ~^:?*[\\")


def _check_repository(value: str) -> str:
    if not _REPOSITORY.fullmatch(value) or {".", ".."} & set(value.split("/")):
        raise ValueError("must be OWNER/REPOSITORY")
    return value


def _check_branch(value: str) -> str:
    # https://git-scm.com/docs/git-check-ref-format, as far as it matters to an address.
    fits = (
        value.isprintable()
        and not _NOT_IN_BRANCHES & set(value)
        and ".." not in value
        and not any(part in {"", "."} for part in value.split("/"))
    )
    if not fits or len(value.encode(errors="replace")) > _LONGEST_BRANCH:
        raise ValueError(f"must be a branch's name of at most {_LONGEST_BRANCH} bytes")
    return value


def _check_sha(value: str) -> str:
    if not _SHA.fullmatch(value):
        raise ValueError("must be a commit's SHA in full")
    return value


Repository = Annotated[str, Field(min_length=1), AfterValidator(_check_repository)]
Branch = Annotated[str, Field(min_length=1), AfterValidator(_check_branch)]
Sha = Annotated[str, Field(min_length=1), AfterValidator(_check_sha)]


class BranchQuestion(BaseModel):
    """May a job run that belongs to a branch of a repository?"""

    model_config = ConfigDict(strict=True, frozen=True)

    repository_name: Repository


class PullRequestQuestion(BranchQuestion):
    """May a job run that belongs to a pull request?

    Attributes:
        source_repository_name: where its commits come from.
        target_branch_name: where they are to go.
        source_branch_name: where they stand.
        commit_sha: the last of them.
    """

    source_repository_name: Repository
    target_branch_name: Branch
    source_branch_name: Branch
    commit_sha: Sha

    @property
    def is_from_fork(self) -> bool:
        """Tell whether the commits are another repository's. GitHub's names have no case."""
        return self.source_repository_name.lower() != self.repository_name.lower()

    @property
    def source_owner(self) -> str:
        """Whose repository the commits come from."""
        return self.source_repository_name.split("/")[0]


Question = BranchQuestion | PullRequestQuestion
