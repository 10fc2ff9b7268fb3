"""The work of removing what an installation has in LXD, step by step: what fails is reported."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from supervisor.gateways import storage as file_systems
from supervisor.gateways.image_key import KeyUnusable, seal_if_any
from supervisor.gateways.lxd import Lxd, LxdError, LxdUnavailable, NotFound
from supervisor.gateways.storage import StorageError
from supervisor.host import preparation, removal, storage

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from supervisor.config import Config
    from supervisor.gateways.lxd import Instance, Kind, LxdEndpoint, Resource
    from supervisor.host.storage import OwnPool
    from supervisor.work.removal_report import Report

_LOOK_LIMIT_S = 10.0
_INSTANCE_LIMIT_S = 60.0
_ALL_LIMIT_S = 180.0
_AT_ONCE = 8
_DEFAULT = "default"
_NOUNS: dict[Kind, str] = {
    "profiles": "profile",
    "projects": "project",
    "networks": "bridge",
    "storage-pools": "storage pool",
}


@dataclass
class LxdRemoval:
    """What is removed from LXD for one installation.

    Attributes:
        endpoint: where it is, with the installation's project.
        config: the installation's.
        report: takes what came of it.
        instances: those that are ours, by project, once they were looked for.
    """

    endpoint: LxdEndpoint
    config: Config
    report: Report
    instances: dict[str, list[Instance]] = field(default_factory=dict)

    def look(self) -> bool:
        """Look for our instances, and tell whether LXD can be asked at all."""
        name = self.config.name
        try:
            projects = self._at(_DEFAULT).resources("projects")
            known = {one.name for one in projects}
            made = {one.name for one in projects if preparation.prepared_for(one.config) == name}
            for project in sorted(made | ({self.endpoint.project} & known)):
                found = self._at(project).instances()
                claimed = [
                    one for one in found if removal.claim_instance(name, one.name, one.config)
                ]
                self.instances[project] = claimed
        except LxdError as error:
            self.report.stays("what is in LXD", error)
            return False
        return True

    def remove_instances(self) -> bool:
        """Delete them by force, several at once; tell whether all are gone."""
        doomed = [(project, one.name) for project, all_ in self.instances.items() for one in all_]
        deadline = time.monotonic() + _ALL_LIMIT_S
        outages: list[LxdUnavailable] = []

        def delete(project: str, name: str) -> LxdError | None:
            if outages:
                return outages[0]
            limit_s = min(_INSTANCE_LIMIT_S, max(1.0, deadline - time.monotonic()))
            try:
                self._at(project).delete(name, limit_s=limit_s)
            except LxdUnavailable as error:
                outages.append(error)
                return error
            except LxdError as error:
                return error
            return None

        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="removing") as threads:
            outcomes = list(threads.map(lambda one: delete(*one), doomed))
        for (_, name), error in zip(doomed, outcomes, strict=True):
            if error is None:
                self.report.gone(f"instance {name}")
            else:
                self.report.stays(f"instance {name}", error)
        return not any(outcomes)

    def left_of(self, project: str, names: Collection[str]) -> set[str]:
        """Give those instances that are there, or can't be asked for, though LXD listed none."""
        lxd, left = self._at(project), set[str]()
        for name in sorted(names):
            try:
                lxd.instance(name, limit_s=_LOOK_LIMIT_S)
            except NotFound:
                continue
            except LxdUnavailable as error:
                self.report.stays(f"instances that LXD may have in {project}", error)
                return set(names)
            except LxdError as error:
                self.report.stays(f"instance {name}", error)
            else:
                self.report.stays(f"instance {name}", "LXD has it, and did not list it")
            left.add(name)
        return left

    def remove_rest(self) -> frozenset[str]:
        """Remove images, pools and what was made for us, and say which kinds are left."""
        left = {"images", "pools"}
        try:
            if self._remove_images():
                left.discard("images")
            if self._remove_pools():
                left.discard("pools")
            self._remove_prepared()
        except (LxdError, StorageError) as error:
            self.report.stays("what else is in LXD", error)
        return frozenset(left)

    def _remove_images(self) -> bool:
        """Delete those that were built or pulled; tell whether none is left."""
        name, gone = self.config.name, True
        try:
            seal = seal_if_any(self.config.state_directory / "image-key")
        except KeyUnusable as error:
            self.report.stays("images", error)
            return False
        for lxd in map(self._at, self.instances):
            for image in lxd.stored_images():
                said, aliases = image.properties, image.aliases
                claim = removal.claim_image(name, image.fingerprint, said, aliases, seal)
                if claim:
                    gone &= self.report.attempt(claim, lxd.delete_image, image.fingerprint)
        return gone

    def _remove_pools(self) -> bool:
        """Remove the pools of our own with their file systems; tell whether none is left."""
        known = {one.name: one for one in self._at(_DEFAULT).resources("storage-pools")}
        marked = file_systems.noted(storage.homes(self.config))
        marked.update({one.name: dict(one.config) for one in known.values()})
        ours = (storage.recognise(self.config, name, marked[name]) for name in sorted(marked))
        gone = True
        for own in filter(None, ours):
            users = _users(known[own.name]) if own.name in known else ()
            claim = removal.claim_pool(own.name, users)
            gone &= self.report.attempt(claim, self._remove_pool, own)
        return gone

    def _remove_pool(self, own: OwnPool) -> None:
        self._at(_DEFAULT).delete_pool(own.name)
        file_systems.discard(own)

    def _remove_prepared(self) -> None:
        """Remove what was made for the installation before it began: first what uses the rest."""
        for project in self.instances:
            self._remove_marked(project, "profiles")
        self._remove_marked(_DEFAULT, "projects")
        self._remove_marked(_DEFAULT, "networks")
        self._remove_marked(_DEFAULT, "storage-pools")

    def _remove_marked(self, project: str, kind: Kind) -> None:
        lxd, name = self._at(project), self.config.name
        delete = {
            "profiles": lxd.delete_profile,
            "projects": lxd.delete_project,
            "networks": lxd.delete_network,
            "storage-pools": lxd.delete_pool,
        }[kind]
        for one in lxd.resources(kind):
            what = f"{_NOUNS[kind]} {one.name}"
            if_kept = self._if_kept(one)
            if claim := removal.claim_prepared(name, what, one.config, _users(one), if_kept):
                self.report.attempt(claim, delete, one.name)

    def _if_kept(self, resource: Resource) -> str:
        if resource.kind == "storage-pools":
            return removal.way_to_delete(resource.name)
        is_guarded = resource.kind == "networks" and self.config.firewall == "managed"
        return removal.UNGUARDED if is_guarded else ""

    def _at(self, project: str) -> Lxd:
        return Lxd(replace(self.endpoint, project=project))


def _users(resource: Resource) -> Iterable[str]:
    """Give the addresses of what keeps something from being deleted."""
    if resource.kind == "projects":
        # LXD has made that itself, and deletes it itself.
        own = f"/1.0/profiles/{_DEFAULT}?project={resource.name}"
        return [user for user in resource.used_by if user != own]
    if resource.kind == "storage-pools":
        return storage.Record(resource.config, resource.available, resource.used_by).users()
    return resource.used_by
