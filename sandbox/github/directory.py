"""Organisations, repositories and runner groups: what runners are registered in."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sandbox.github.model import RunnerGroup, Scope, Visibility

if TYPE_CHECKING:
    from collections.abc import Collection

_FIRST_ORGANIZATION = 21_000_001
_FIRST_REPOSITORY = 129_000_001


class Directory:
    """Names and numbers of what exists; names are found without regard to case."""

    def __init__(self) -> None:
        self._scopes: dict[str, Scope] = {}
        self._by_id: dict[tuple[str, int], Scope] = {}
        self._groups: dict[tuple[str, int], RunnerGroup] = {}

    def add_organization(self, name: str) -> Scope:
        """Return the organisation of that name, made with its default group if it is new."""
        known = self._scopes.get(name.casefold())
        if known is not None:
            return known
        count = sum(scope.kind == "organization" for scope in self._scopes.values())
        scope = self._keep(Scope("organization", _FIRST_ORGANIZATION + count, name))
        self._groups[(scope.name, 1)] = RunnerGroup(1, scope.name, "Default", default=True)
        return scope

    def add_repository(self, full_name: str) -> Scope:
        """Return the repository `owner/name`, made together with its owner if it is new."""
        known = self._scopes.get(full_name.casefold())
        if known is not None:
            return known
        owner, name = full_name.split("/", 1)
        full_name = f"{self.add_organization(owner).name}/{name}"
        count = sum(scope.kind == "repository" for scope in self._scopes.values())
        return self._keep(Scope("repository", _FIRST_REPOSITORY + count, full_name))

    def scope(self, name: str) -> Scope | None:
        """Return the organisation `name` or the repository `owner/name`."""
        return self._scopes.get(name.casefold())

    def scope_by_id(self, kind: str, number: int) -> Scope | None:
        """Return a scope by its kind (`organization`, `repository`) and number."""
        return self._by_id.get((kind, number))

    def add_group(
        self,
        organization: Scope,
        name: str,
        *,
        visibility: Visibility = "all",
        repositories: Collection[str] = (),
        allows_public_repositories: bool = False,
    ) -> RunnerGroup:
        """Add a runner group to an organisation.

        Raises:
            ValueError: the organisation has a group of that name.
        """
        groups = self.groups(organization)
        if any(group.name.casefold() == name.casefold() for group in groups):
            raise ValueError(f"a runner group named {name!r} exists")
        group = RunnerGroup(
            id=max(group.id for group in groups) + 1,
            organization=organization.name,
            name=name,
            visibility=visibility,
            allows_public_repositories=allows_public_repositories,
            repositories=frozenset(repository.casefold() for repository in repositories),
        )
        self._groups[(organization.name, group.id)] = group
        return group

    def rename_group(self, group: RunnerGroup, name: str, visibility: Visibility) -> RunnerGroup:
        """Change a group's name and visibility."""
        changed = replace(group, name=name, visibility=visibility)
        self._groups[(group.organization, group.id)] = changed
        return changed

    def remove_group(self, group: RunnerGroup) -> None:
        """Remove a group; its runners are the caller's business."""
        del self._groups[(group.organization, group.id)]

    def groups(self, organization: Scope) -> list[RunnerGroup]:
        """Return an organisation's groups, the default one first."""
        return [g for (owner, _), g in self._groups.items() if owner == organization.name]

    def group(self, scope: Scope, group_id: int) -> RunnerGroup | None:
        """Return a group of the scope; a repository has but the default one."""
        if scope.kind == "organization":
            return self._groups.get((scope.name, group_id))
        return RunnerGroup(1, scope.name, "Default", default=True) if group_id == 1 else None

    def admits(self, scope: Scope, group_id: int, repository: str) -> bool:
        """Tell whether a repository's jobs may run on runners of that scope and group."""
        if scope.kind == "repository":
            return scope.name.casefold() == repository.casefold()
        if scope.name.casefold() != repository.split("/", 1)[0].casefold():
            return False
        group = self._groups.get((scope.name, group_id))
        return group is not None and group.admits(repository)

    def _keep(self, scope: Scope) -> Scope:
        self._scopes[scope.name.casefold()] = scope
        self._by_id[(scope.kind, scope.id)] = scope
        return scope
