"""Enterprises, organisations, repositories and runner groups: what runners are registered in."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sandbox.github.model import RunnerGroup, Scope, ScopeKind, Visibility

if TYPE_CHECKING:
    from collections.abc import Collection

_FIRST_NUMBER: dict[ScopeKind, int] = {
    "organization": 21_000_001,
    "repository": 129_000_001,
    "enterprise": 7_001,
}
ENTERPRISES = "enterprises"
"""The first part of an enterprise's name as a scope; no organisation can have it as its name."""


class Directory:
    """Names and numbers of what exists; names are found without regard to case."""

    def __init__(self) -> None:
        self._scopes: dict[str, Scope] = {}
        self._by_id: dict[tuple[str, int], Scope] = {}
        self._groups: dict[tuple[str, int], RunnerGroup] = {}
        self._enterprise_of: dict[str, Scope] = {}

    def add_organization(self, name: str) -> Scope:
        """Return the organisation of that name, made with its default group if it is new.

        Raises:
            ValueError: no organisation can have that name.
        """
        known = self._scopes.get(name.casefold())
        if known is not None:
            return known
        if name.casefold() == ENTERPRISES or "/" in name:
            raise ValueError(f"no organisation can be named {name!r}")
        return self._with_default_group(self._new("organization", name))

    def add_repository(self, full_name: str, *, personal: bool = False) -> Scope:
        """Return the repository `owner/name`, made together with its owner if it is new.

        Args:
            full_name: its name.
            personal: whether a new owner is a user and no organisation.

        Raises:
            ValueError: its owner can't have that name.
        """
        known = self._scopes.get(full_name.casefold())
        if known is not None:
            return known
        owner, name = full_name.split("/", 1)
        if not personal or self.is_organization(owner):
            owner = self.add_organization(owner).name
        return self._new("repository", f"{owner}/{name}")

    def is_organization(self, login: str) -> bool:
        """Tell whether an account is an organisation's; every other one is a user's."""
        return login.casefold() in self._scopes

    def add_enterprise(self, name: str, organizations: Collection[str] = ()) -> Scope:
        """Return the enterprise of that name, made if it is new, with further organisations.

        Raises:
            ValueError: an organisation is another enterprise's.
        """
        full_name = f"{ENTERPRISES}/{name}"
        known = self._scopes.get(full_name.casefold())
        enterprise = known or self._with_default_group(self._new("enterprise", full_name))
        for organization in organizations:
            member = self.add_organization(organization).name
            if self._enterprise_of.setdefault(member, enterprise) != enterprise:
                raise ValueError(f"{member} is another enterprise's")
        self._share_groups(enterprise)
        return enterprise

    def scope(self, name: str) -> Scope | None:
        """Return the organisation `name`, repository `owner/name` or `enterprises/name`."""
        return self._scopes.get(name.casefold())

    def scope_by_id(self, kind: str, number: int) -> Scope | None:
        """Return a scope by its kind (`organization`, `repository`, `enterprise`) and number."""
        return self._by_id.get((kind, number))

    # Groups

    def add_group(
        self,
        owner: Scope,
        name: str,
        *,
        visibility: Visibility = "all",
        selected: Collection[str] = (),
        allows_public_repositories: bool = False,
        hosted: bool = False,
    ) -> RunnerGroup:
        """Add a runner group to an organisation or an enterprise.

        Raises:
            ValueError: it has a group of that name.
        """
        groups = self.groups(owner)
        if any(group.name.casefold() == name.casefold() for group in groups):
            raise ValueError(f"a runner group named {name!r} exists")
        return self.change_group(
            RunnerGroup(
                id=max(group.id for group in groups) + 1,
                owner=owner.name,
                name=name,
                visibility=visibility,
                allows_public_repositories=allows_public_repositories,
                selected=frozenset(name.casefold() for name in selected),
                hosted=hosted,
            )
        )

    def change_group(self, group: RunnerGroup) -> RunnerGroup:
        """Keep a group as it is now."""
        self._groups[(group.owner, group.id)] = group
        self._share_groups(self._scopes[group.owner.casefold()])
        return group

    def remove_group(self, group: RunnerGroup) -> None:
        """Remove a group; its runners are the caller's business."""
        del self._groups[(group.owner, group.id)]
        self._share_groups(self._scopes[group.owner.casefold()])

    def groups(self, owner: Scope) -> list[RunnerGroup]:
        """Return an organisation's or an enterprise's groups, the default one first."""
        return [group for (name, _), group in self._groups.items() if name == owner.name]

    def group(self, scope: Scope, group_id: int) -> RunnerGroup | None:
        """Return a group of the scope; a repository has but the default one."""
        if scope.kind != "repository":
            return self._groups.get((scope.name, group_id))
        return RunnerGroup(1, scope.name, "Default", default=True) if group_id == 1 else None

    def admits(self, scope: Scope, group_id: int, repository: str) -> bool:
        """Tell whether a repository's jobs may run on runners of that scope and group."""
        if scope.kind == "repository":
            return scope.name.casefold() == repository.casefold()
        owner = self._scopes.get(repository.split("/", 1)[0].casefold())
        group = self._groups.get((scope.name, group_id))
        if owner is None or group is None:
            return False
        if scope.kind == "enterprise":
            return self._enterprise_of.get(owner.name) == scope and group.admits(owner.name)
        return scope == owner and group.admits(repository)

    def _share_groups(self, enterprise: Scope) -> None:
        """Have each organisation of an enterprise inherit those groups that are open to it."""
        if enterprise.kind != "enterprise":
            return
        shared = {group.id: group for group in self.groups(enterprise) if not group.default}
        for name, its_enterprise in self._enterprise_of.items():
            if its_enterprise != enterprise:
                continue
            organization = self._scopes[name.casefold()]
            groups = self.groups(organization)
            inherited = {g.inherited_from: g for g in groups if g.inherited_from is not None}
            next_id = max(group.id for group in groups) + 1
            for number in sorted({*shared, *inherited}):
                group, mine = shared.get(number), inherited.get(number)
                if group is not None and group.admits(name):
                    own_id = mine.id if mine else next_id
                    next_id += mine is None
                    self._groups[(name, own_id)] = replace(
                        group,
                        id=own_id,
                        owner=name,
                        visibility="all",
                        selected=frozenset(),
                        inherited_from=number,
                    )
                elif mine is not None:
                    del self._groups[(name, mine.id)]

    def _new(self, kind: ScopeKind, name: str) -> Scope:
        count = sum(scope.kind == kind for scope in self._scopes.values())
        scope = Scope(kind, _FIRST_NUMBER[kind] + count, name)
        self._scopes[scope.name.casefold()] = scope
        self._by_id[(scope.kind, scope.id)] = scope
        return scope

    def _with_default_group(self, scope: Scope) -> Scope:
        self._groups[(scope.name, 1)] = RunnerGroup(1, scope.name, "Default", default=True)
        return scope
