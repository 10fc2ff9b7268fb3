"""The work of removing all that an installation has, when no daemon of it is to run any more.

It blocks, and each step has a limit. What fails is reported, and the rest goes on: a second call
goes on where the first one has ended, in whatever way. Guests that are left stay guarded.
"""

from __future__ import annotations

import os
import shutil
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from supervisor import credentials, marks, places, preparation, removal, storage
from supervisor.gateways import storage as file_systems
from supervisor.gateways.image_key import seal_of
from supervisor.gateways.lxd import Lxd, LxdError, LxdUnavailable
from supervisor.gateways.nftables import Nftables, NftablesError
from supervisor.gateways.place_notes import PlaceNotes
from supervisor.gateways.storage import StorageError
from supervisor.work import firewall as firewall_work
from supervisor.work.registrations import Registrations

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from supervisor.config import Config
    from supervisor.gateways.lxd import Instance, Kind, LxdEndpoint
    from supervisor.removal import Claim

_GITHUB_LIMIT_S = 60.0
_BUSY_LIMIT_S = 15.0
_INSTANCE_LIMIT_S = 60.0
_INSTANCES_LIMIT_S = 180.0
_AT_ONCE = 8
_DEFAULT = "default"

Say = Callable[[str, str], object]


@dataclass
class Report:
    """What was removed, and what is left.

    Attributes:
        say: told of each thing: what it is, and why it is left; the latter is empty if it is gone.
        removed: in words.
        left: in words, each with the reason.
    """

    say: Say
    removed: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)

    def gone(self, what: str) -> None:
        """Note that something was removed."""
        self.removed.append(what)
        self.say(what, "")

    def stays(self, what: str, why: object) -> None:
        """Note that something is left."""
        self.left[what] = str(why)
        self.say(what, str(why))

    def attempt(self, claim: Claim, remove: Callable[..., object], *arguments: object) -> None:
        """Remove what is claimed, and note what came of it.

        Args:
            claim: on it.
            remove: does so; it returns False if there was nothing.
            arguments: of that.
        """
        if claim.obstacle:
            self.stays(claim.what, claim.obstacle)
            return
        try:
            if remove(*arguments) is not False:
                self.gone(claim.what)
        except (LxdError, StorageError, NftablesError, OSError) as error:
            self.stays(claim.what, error)


class RemovalWork:
    """What is removed for one configuration.

    Args:
        endpoint: where LXD is, with the installation's project.
        config: the installation's.
        nftables: the kernel's packet filter.
        say: told of each thing, as it goes.
    """

    def __init__(self, endpoint: LxdEndpoint, config: Config, nftables: Nftables, say: Say) -> None:
        self._config = config
        self._name = config.name
        self._nftables = nftables
        self._report = Report(say)
        self._endpoint = endpoint
        self._lxd = self._at(endpoint.project)
        self._projects = [endpoint.project]

    def remove(self) -> Report:
        """Remove it all, in an order in which no step needs what an earlier one has removed."""
        instances = self._look()
        registrations = list(self._registrations(instances or {}))
        self._leave_github(registrations, _GITHUB_LIMIT_S)
        guests_left = True
        if instances is not None:
            guests_left = not self._remove_instances(instances)
        self._leave_github([one for one in registrations if one.left], _BUSY_LIMIT_S)
        for one in registrations:
            for what, why in one.left.items():
                self._report.stays(what, why)
        images_left = instances is None or not self._remove_images()
        pools_left = instances is None or not self._remove_pools()
        self._remove_firewall(guests_left=guests_left)
        if instances is not None:
            self._remove_prepared()
        self._remove_state(
            removal.state_to_keep(
                registrations=any(one.left for one in registrations),
                images=images_left,
                pools=pools_left,
            )
        )
        return self._report

    def _at(self, project: str) -> Lxd:
        return Lxd(replace(self._endpoint, project=project))

    def _look(self) -> dict[str, list[Instance]] | None:
        """List the instances that are ours, by project; None if LXD can't be asked."""
        try:
            projects = self._lxd.resources("projects")
            known = {one.name for one in projects}
            ours = {p.name for p in projects if preparation.prepared_for(p.config) == self._name}
            self._projects = sorted(ours | ({self._endpoint.project} & known))
            return {project: self._instances_of(project) for project in self._projects}
        except LxdError as error:
            self._report.stays("what is in LXD", error)
            return None

    def _instances_of(self, project: str) -> list[Instance]:
        return [
            one
            for one in self._at(project).instances()
            if removal.claim_instance(self._name, one.name, one.config)
        ]

    # GitHub

    def _registrations(self, instances: dict[str, list[Instance]]) -> Iterator[Registrations]:
        """Give the places where some may be: configured, noted on the disk, told by instances."""
        notes = PlaceNotes(self._config.state_directory / "places")
        numbers: dict[str, set[int]] = defaultdict(set)
        for place in {places.of(self._config), *notes.all()}:
            numbers[place] = set()
        for instance in (one for found in instances.values() for one in found):
            said = marks.read(instance.status, instance.config)
            if said.place and said.seen.runner_id is not None:
                numbers[said.place].add(said.seen.runner_id)
        for place in sorted(numbers):
            yield Registrations(self._config, place, numbers[place])

    def _leave_github(self, registrations: Iterable[Registrations], limit_s: float) -> None:
        for one in registrations:
            known = len(one.removed)
            one.delete(lambda: credentials.read(self._config), limit_s=limit_s)
            for what in one.removed[known:]:
                self._report.gone(what)

    # LXD

    def _remove_instances(self, instances: dict[str, list[Instance]]) -> bool:
        """Delete them by force; tell whether all are gone."""
        deadline = time.monotonic() + _INSTANCES_LIMIT_S
        outage: list[LxdUnavailable] = []

        def delete(project: str, name: str) -> Exception | None:
            if outage:
                return outage[0]
            limit_s = min(_INSTANCE_LIMIT_S, max(1.0, deadline - time.monotonic()))
            try:
                self._at(project).delete(name, limit_s=limit_s)
            except LxdError as error:
                if isinstance(error, LxdUnavailable):
                    outage.append(error)
                return error
            return None

        doomed = [(project, one.name) for project, found in instances.items() for one in found]
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="removing") as threads:
            outcomes = list(threads.map(delete, *zip(*doomed, strict=True))) if doomed else []
        for (_, name), error in zip(doomed, outcomes, strict=True):
            if error is None:
                self._report.gone(f"instance {name}")
            else:
                self._report.stays(f"instance {name}", error)
        return not any(outcomes)

    def _remove_images(self) -> bool:
        """Delete those that were built or pulled; tell whether none is left."""
        before = len(self._report.left)
        for project in self._projects:
            lxd = self._at(project)
            try:
                seal = seal_of(self._config.state_directory / "image-key")
                stored = lxd.stored_images()
            except (LxdError, OSError) as error:
                self._report.stays(f"images in project {project}", error)
                continue
            for image in stored:
                claim = removal.claim_image(
                    self._name, image.fingerprint, image.properties, image.aliases, seal
                )
                if claim:
                    self._report.attempt(claim, lxd.delete_image, image.fingerprint)
        return len(self._report.left) == before

    def _remove_pools(self) -> bool:
        """Remove the pools of our own with their file systems; tell whether none is left."""
        try:
            known = {one.name: one for one in self._lxd.resources("storage-pools")}
        except LxdError as error:
            self._report.stays("storage pools of our own", error)
            return False
        noted = file_systems.noted(storage.homes(self._config))
        noted.update({one.name: dict(one.config) for one in known.values()})
        before = len(self._report.left)
        for name in sorted(noted):
            own = storage.recognise(self._config, name, noted[name])
            if own is None:
                continue
            pool = known.get(name)
            users = (
                storage.Record(pool.config, pool.available, pool.used_by).users() if pool else ()
            )
            obstacle = f"it is used by {', '.join(users)}" if users else ""
            claim = removal.Claim(f"storage pool {name}", obstacle)
            self._report.attempt(claim, self._remove_pool, own)
        return len(self._report.left) == before

    def _remove_pool(self, own: storage.OwnPool) -> None:
        self._lxd.delete_pool(own.name)
        file_systems.discard(own)

    def _remove_firewall(self, *, guests_left: bool) -> None:
        """Delete the tables, unless there may be guests that they hold back."""
        try:
            tables = firewall_work.tables_of(self._name, self._nftables.tables())
        except NftablesError as error:
            self._report.stays("the firewall", error)
            return
        obstacle = "it guards instances that are left" if guests_left else ""
        for name in tables:
            claim = removal.Claim(f"nft table inet {name}", obstacle)
            self._report.attempt(claim, self._nftables.delete, name)

    def _remove_prepared(self) -> None:
        """Remove what was made for us, from what uses to what is used."""
        for project in self._projects:
            self._remove_marked(self._at(project), "profiles", "profile")
        own_profile = {
            project: (f"/1.0/profiles/{_DEFAULT}?project={project}",) for project in self._projects
        }
        self._remove_marked(self._at(_DEFAULT), "projects", "project", own_profile)
        self._remove_marked(self._at(_DEFAULT), "networks", "bridge")
        self._remove_marked(self._at(_DEFAULT), "storage-pools", "storage pool")

    def _remove_marked(
        self, lxd: Lxd, kind: Kind, noun: str, spared: Mapping[str, tuple[str, ...]] | None = None
    ) -> None:
        try:
            found = lxd.resources(kind)
        except LxdError as error:
            self._report.stays(f"what was made for {self._name}: {noun}", error)
            return
        delete = {
            "profiles": lxd.delete_profile,
            "projects": lxd.delete_project,
            "networks": lxd.delete_network,
            "storage-pools": lxd.delete_pool,
        }[kind]
        for one in found:
            users = one.used_by
            if kind == "storage-pools":
                users = storage.Record(one.config, one.available, users).users()
            claim = removal.claim_prepared(
                self._name,
                f"{noun} {one.name}",
                one.config,
                users,
                (spared or {}).get(one.name, ()),
            )
            if claim:
                self._report.attempt(claim, delete, one.name)

    # The disk

    def _remove_state(self, kept: frozenset[str]) -> None:
        """Remove what the daemon has made in its state directory, but for what is needed still."""
        for name in removal.STATE:
            path = self._config.state_directory / name
            if name in kept or not os.path.lexists(path):
                continue
            is_directory = path.is_dir() and not path.is_symlink()
            remove = shutil.rmtree if is_directory else os.unlink
            self._report.attempt(removal.Claim(str(path)), remove, path)
