"""What a test may set of repositories: protection, rulesets, people, pull requests, comments."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sandbox.github.settings import Branch, Collaborator, Protection, commit_sha

if TYPE_CHECKING:
    from sandbox.github.hub import Hub
    from sandbox.github.settings import (
        Affiliation,
        BaseRole,
        Comment,
        PullRequest,
        Repository,
        Review,
        ReviewState,
        Ruleset,
    )


class RepositoryStaging:
    """The repositories' part of the staging. Any thread may call it.

    Where a method takes a `repository`, that is `owner/name`; it is made if it is new.
    """

    def __init__(self, hub: Hub) -> None:
        self.hub = hub

    def repository(self, repository: str) -> Repository:
        """Return all settings of a repository."""
        with self.hub.change() as state:
            return state.repositories.of(state.directory.add_repository(repository).name)

    def set_repository(
        self,
        repository: str,
        *,
        private: bool | None = None,
        default_branch: str | None = None,
    ) -> Repository:
        """Change a repository's own settings; what is not told stays as it is."""
        wanted = {"private": private, "default_branch": default_branch}
        given = {name: value for name, value in wanted.items() if value is not None}
        with self.hub.change() as state:
            name = state.directory.add_repository(repository).name
            return state.repositories.change(name, **given)

    def add_fork(self, parent: str, fork: str) -> Repository:
        """Make a fork of a repository; its owner is a user, if it is no organisation."""
        with self.hub.change() as state:
            scope = state.directory.add_repository(fork, personal=True)
            name, owner = scope.name, scope.name.split("/", 1)[0]
            origin = state.repositories.of(state.directory.add_repository(parent).name)
            if not state.directory.is_organization(owner):
                state.repositories.put_collaborator(name, Collaborator(owner, "admin"))
            return state.repositories.change(
                name,
                parent=origin.full_name,
                private=origin.private,
                default_branch=origin.default_branch,
            )

    def set_branch(self, repository: str, branch: str, sha: str | None = None) -> Branch:
        """Make a branch, or move it to a commit."""
        with self.hub.change() as state:
            name = state.directory.add_repository(repository).name
            known = state.repositories.of(name).branch(branch)
            made = known or Branch(branch, commit_sha(name, branch))
            made = replace(made, sha=sha or made.sha)
            state.repositories.put_branch(name, made)
            return made

    def remove_branch(self, repository: str, branch: str) -> None:
        """Remove a branch.

        Raises:
            KeyError: no such branch.
        """
        with self.hub.change() as state:
            state.repositories.remove_branch(repository, branch)

    def protect(self, repository: str, branch: str, protection: Protection | None = None) -> Branch:
        """Protect a branch, by default with one review and no way around it."""
        return self._set_protection(repository, branch, protection or Protection())

    def unprotect(self, repository: str, branch: str) -> Branch:
        """Take a branch's protection away; rulesets stay."""
        return self._set_protection(repository, branch, None)

    def add_ruleset(self, repository: str, ruleset: Ruleset) -> Ruleset:
        """Add a ruleset; the one returned has a number."""
        with self.hub.change() as state:
            name = state.directory.add_repository(repository).name
            return state.repositories.add_ruleset(name, ruleset)

    def remove_ruleset(self, repository: str, ruleset_id: int) -> None:
        """Remove a ruleset.

        Raises:
            KeyError: no such ruleset.
        """
        with self.hub.change() as state:
            state.repositories.remove_ruleset(repository, ruleset_id)

    def set_collaborator(
        self,
        repository: str,
        login: str,
        role: str = "write",
        affiliation: Affiliation = "direct",
        *,
        base: BaseRole | None = None,
    ) -> Collaborator:
        """Give somebody a role in a repository.

        Raises:
            ValueError: no such role, or no such affiliation.
        """
        made = Collaborator(login, role, base, affiliation)
        with self.hub.change() as state:
            name = state.directory.add_repository(repository).name
            state.repositories.put_collaborator(name, made)
        return made

    def remove_collaborator(self, repository: str, login: str) -> None:
        """Take somebody's role away.

        Raises:
            KeyError: no such collaborator.
        """
        with self.hub.change() as state:
            state.repositories.remove_collaborator(repository, login)

    def open_pull(
        self, repository: str, head: str, base: str | None = None, **fields: Any
    ) -> PullRequest:
        """Open a pull request.

        Args:
            repository: where it is to be merged.
            head: its branch: `feature` in the same repository, `mallory/demo:feature` in a fork,
                which is made if it is new.
            base: the branch it is to be merged into, or the default one.
            fields: further fields of the `PullRequest`, such as `author`, `title`, `head_sha`.
        """
        fork, _, branch = head.rpartition(":")
        if fork and fork.casefold() != repository.casefold():
            with self.hub.view() as state:
                new = state.directory.scope(fork) is None
            if new:
                self.add_fork(repository, fork)
        with self.hub.change() as state:
            target = state.directory.add_repository(repository).name
            scope = state.directory.scope(fork) if fork else None
            source = scope.name if scope else target
            now = self.hub.clock()
            return state.repositories.open_pull(
                target, source, branch, now, base_ref=base, **fields
            )

    def change_pull(
        self, repository: str, number: int, *, merged: bool = False, **fields: Any
    ) -> PullRequest:
        """Change a pull request.

        Args:
            repository: whose.
            number: which one.
            merged: whether it is merged now, and so closed.
            fields: `state="closed"`, `head_sha=…`, and the like; `head_repository=None` stands for
                a fork that has been deleted.

        Raises:
            KeyError: no such pull request.
        """
        with self.hub.change() as state:
            now = self.hub.clock()
            if merged:
                fields = {"state": "closed", "merged_at": now, **fields}
            return state.repositories.change_pull(repository, number, now, **fields)

    def add_comment(self, repository: str, number: int, author: str, body: str) -> Comment:
        """Comment on a pull request.

        Raises:
            KeyError: no such pull request.
        """
        with self.hub.change() as state:
            return state.repositories.add_comment(
                repository, number, author, body, self.hub.clock()
            )

    def add_review(
        self,
        repository: str,
        number: int,
        author: str,
        review: ReviewState = "APPROVED",
        body: str = "",
    ) -> Review:
        """Review a pull request's newest commit.

        Raises:
            KeyError: no such pull request.
        """
        with self.hub.change() as state:
            return state.repositories.add_review(
                repository, number, author, review, self.hub.clock(), body=body
            )

    def _set_protection(
        self, repository: str, branch: str, protection: Protection | None
    ) -> Branch:
        with self.hub.change() as state:
            name = state.directory.add_repository(repository).name
            known = state.repositories.of(name).branch(branch)
            made = known or Branch(branch, commit_sha(name, branch))
            made = replace(made, protection=protection)
            state.repositories.put_branch(name, made)
            return made
