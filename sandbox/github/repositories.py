"""The repositories' settings and how they change. Pure: no clock, no I/O."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sandbox.github.profiles import RepositoryProfile
from sandbox.github.pull_documents import PullContext
from sandbox.github.settings import (
    Branch,
    Collaborator,
    Comment,
    PullRequest,
    Repository,
    Review,
    ReviewState,
    Ruleset,
    commit_sha,
)

if TYPE_CHECKING:
    from datetime import datetime

    from sandbox.github.directory import Directory
    from sandbox.github.model import Scope


class Repositories:
    """Settings by the repository's name; one of which nothing is known has the usual ones.

    Args:
        directory: tells their numbers and which of their owners are organisations.
    """

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._known: dict[str, Repository] = {}
        self._next_id = 1

    def of(self, full_name: str) -> Repository:
        """Return a repository's settings."""
        return self._known.get(full_name.casefold()) or Repository(full_name)

    def change(self, full_name: str, **settings: Any) -> Repository:
        """Change some fields of a repository."""
        changed = replace(self.of(full_name), **settings)
        self._known[full_name.casefold()] = changed
        return changed

    def profile(self, repository: Scope) -> RepositoryProfile:
        """Return what documents tell of a repository."""
        settings = self.of(repository.name)
        parent = self._directory.scope(settings.parent) if settings.parent else None
        is_organizations = self._directory.is_organization(settings.owner)
        return RepositoryProfile(
            id=repository.id,
            full_name=repository.name,
            owner_kind="Organization" if is_organizations else "User",
            private=settings.private,
            default_branch=settings.default_branch,
            parent=self.profile(parent) if parent else None,
        )

    def pull_context(self, repository: Scope, pull: PullRequest, base: str) -> PullContext:
        """Return what a pull request's document tells of its surroundings."""
        head = self._directory.scope(pull.head_repository) if pull.head_repository else None
        return PullContext(
            self.of(repository.name),
            self.profile(repository),
            self.profile(head) if head else None,
            base,
        )

    # Branches and rulesets

    def put_branch(self, full_name: str, branch: Branch) -> None:
        """Make a branch, or have it be as it is now."""
        self.change(full_name, branches={**self.of(full_name).branches, branch.name: branch})

    def remove_branch(self, full_name: str, name: str) -> None:
        """Remove a branch.

        Raises:
            KeyError: no such branch.
        """
        branches = dict(self.of(full_name).branches)
        del branches[name]
        self.change(full_name, branches=branches)

    def add_ruleset(self, full_name: str, ruleset: Ruleset) -> Ruleset:
        """Add a ruleset, and number it."""
        numbered = replace(ruleset, id=self._number())
        self.change(full_name, rulesets=(*self.of(full_name).rulesets, numbered))
        return numbered

    def remove_ruleset(self, full_name: str, ruleset_id: int) -> None:
        """Remove a ruleset.

        Raises:
            KeyError: no such ruleset.
        """
        rulesets = self.of(full_name).rulesets
        left = tuple(ruleset for ruleset in rulesets if ruleset.id != ruleset_id)
        if left == rulesets:
            raise KeyError(ruleset_id)
        self.change(full_name, rulesets=left)

    # People

    def knows(self, login: str) -> bool:
        """Tell whether anybody of that login has had to do with any repository."""
        return any(login.casefold() in repository.people() for repository in self._known.values())

    def put_collaborator(self, full_name: str, collaborator: Collaborator) -> None:
        """Give somebody a role."""
        people = {**self.of(full_name).collaborators, collaborator.login.casefold(): collaborator}
        self.change(full_name, collaborators=people)

    def remove_collaborator(self, full_name: str, login: str) -> None:
        """Take somebody's role away.

        Raises:
            KeyError: no such collaborator.
        """
        people = dict(self.of(full_name).collaborators)
        del people[login.casefold()]
        self.change(full_name, collaborators=people)

    # Pull requests

    def open_pull(
        self,
        full_name: str,
        head_repository: str,
        head_ref: str,
        now: datetime,
        *,
        base_ref: str | None = None,
        **fields: Any,
    ) -> PullRequest:
        """Open a pull request.

        Args:
            full_name: where it is to be merged.
            head_repository: where its branch is: the same repository or a fork.
            head_ref: that branch; it is made if it is new.
            now: the time.
            base_ref: the branch it is to be merged into, or the default one.
            fields: further fields of the `PullRequest`; the author is the head's owner if not told.
        """
        base, head = self.of(full_name), self.of(head_repository)
        base_ref = base_ref or base.default_branch
        target, source = base.branch(base_ref), head.branch(head_ref)
        number = max(base.pulls, default=0) + 1
        pull = PullRequest(
            **{
                "number": number,
                "title": f"Merge {head_ref}",
                "author": head.owner,
                "head_owner": head.owner,
                "head_ref": head_ref,
                "head_sha": source.sha if source else commit_sha(head.full_name, head_ref),
                "base_ref": base_ref,
                "base_sha": target.sha if target else commit_sha(base.full_name, base_ref),
                "head_repository": head.full_name,
                "created_at": now,
                "updated_at": now,
                **fields,
            }
        )
        if source is None:
            self.put_branch(head.full_name, Branch(head_ref, pull.head_sha))
        self._put_pull(full_name, pull)
        return pull

    def change_pull(self, full_name: str, number: int, now: datetime, **fields: Any) -> PullRequest:
        """Change fields of a pull request.

        Raises:
            KeyError: no such pull request.
        """
        pull = replace(self.of(full_name).pulls[number], updated_at=now, **fields)
        if pull.state == "closed" and pull.closed_at is None:
            pull = replace(pull, closed_at=now)
        self._put_pull(full_name, pull)
        return pull

    def add_comment(
        self, full_name: str, number: int, author: str, body: str, now: datetime
    ) -> Comment:
        """Add a comment to a pull request.

        Raises:
            KeyError: no such pull request.
        """
        repository = self.of(full_name)
        comment = Comment(self._number(), repository.pulls[number].number, author, body, now, now)
        self.change(full_name, comments=(*repository.comments, comment))
        return comment

    def add_review(
        self,
        full_name: str,
        number: int,
        author: str,
        state: ReviewState,
        now: datetime,
        *,
        body: str = "",
    ) -> Review:
        """Add a review of a pull request's newest commit.

        Raises:
            KeyError: no such pull request.
        """
        repository = self.of(full_name)
        commit = repository.pulls[number].head_sha
        review = Review(self._number(), number, author, state, commit, body, now)
        self.change(full_name, reviews=(*repository.reviews, review))
        return review

    def _put_pull(self, full_name: str, pull: PullRequest) -> None:
        self.change(full_name, pulls={**self.of(full_name).pulls, pull.number: pull})

    def _number(self) -> int:
        number, self._next_id = self._next_id, self._next_id + 1
        return number
