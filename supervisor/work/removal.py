"""The work of removing all that an installation has, when no daemon of it is to run any more.

It blocks, and each step has a limit. What fails is reported, and the rest goes on: a second call
goes on where the first one has ended, in whatever way. Guests that are left stay guarded. What is
kept for somebody else is reported, too, and no failure.
"""

from __future__ import annotations

import glob
import os
import shutil
from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from supervisor.config import credentials
from supervisor.firewall import filters
from supervisor.gateways.nftables import Nftables, NftablesError
from supervisor.gateways.place_notes import PlaceNotes
from supervisor.github import places
from supervisor.host import removal
from supervisor.host.removal import Claim
from supervisor.runners import marks
from supervisor.work import filters as filters_work
from supervisor.work import firewall as firewall_work
from supervisor.work.registrations import Registrations
from supervisor.work.removal_lxd import LxdRemoval

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from supervisor.config import Config
    from supervisor.gateways.lxd import Instance, LxdEndpoint
    from supervisor.work.removal_report import Report

_GITHUB_LIMIT_S = 60.0
_BUSY_LIMIT_S = 15.0


@dataclass(frozen=True)
class RemovalWork:
    """What is removed for one configuration.

    Attributes:
        endpoint: where LXD is, with the installation's project.
        config: the installation's.
        nftables: the kernel's packet filter.
        report: takes what came of it.
    """

    endpoint: LxdEndpoint
    config: Config
    nftables: Nftables
    report: Report

    def remove(self) -> None:
        """Remove it all, in an order in which no step needs what an earlier one has removed."""
        lxd = LxdRemoval(self.endpoint, self.config, self.report)
        is_there = lxd.look()
        registrations = list(self._registrations(lxd.instances))
        # First: so no job is given to a runner that is about to be deleted.
        self._leave(registrations, patience_s=0)
        no_guests = is_there and lxd.remove_instances()
        if no_guests:
            no_guests = self._remove_filters(lxd)
        self._leave([one for one in registrations if one.busy], patience_s=_BUSY_LIMIT_S)
        for one in registrations:
            for what, why in one.left.items():
                self.report.stays(what, why)
        self._remove_firewall(no_guests=no_guests)
        left = lxd.remove_rest() if is_there else frozenset({"images", "pools"})
        if any(one.left for one in registrations):
            left |= {"registrations"}
        self._remove_state(removal.state_to_keep(left))
        self._remove_metric_log()

    def _registrations(self, instances: dict[str, list[Instance]]) -> Iterator[Registrations]:
        """Give the places where some may be: configured, noted on the disk, told by instances."""
        notes = PlaceNotes(self.config.state_directory / "places")
        numbers: dict[str, set[int]] = defaultdict(set)
        for place in (places.of(self.config), *notes.all()):
            numbers[place] = set()
        for instance in (one for found in instances.values() for one in found):
            said = marks.read(instance.status, instance.config)
            if said.place and said.seen.runner_id is not None:
                numbers[said.place].add(said.seen.runner_id)
        for place in sorted(numbers):
            yield Registrations(self.config, place, numbers[place])

    def _leave(self, registrations: Iterable[Registrations], *, patience_s: float) -> None:
        """Delete registrations, as far as GitHub lets us."""
        for one in registrations:
            known = len(one.removed)
            one.delete(
                lambda: credentials.read(self.config),
                limit_s=_GITHUB_LIMIT_S,
                patience_s=patience_s,
            )
            for what in one.removed[known:]:
                self.report.gone(what)

    def _remove_filters(self, lxd: LxdRemoval) -> bool:
        """Delete the chains that LXD has left of guests that are gone; tell whether all are.

        LXD's list may have lacked guests that run, so LXD is asked for each by name.
        """
        try:
            chains = filters.read(self.nftables.table(filters.TABLE, filters.GUESTS_FAMILY))
        except (NftablesError, ValueError) as error:
            if self.config.firewall == "managed":
                self.report.stays("what LXD has filtered guests with", error)
            return True
        no_guests = True
        for project in sorted({*lxd.instances, self.endpoint.project}):
            left_over = partial(filters_work.left_over, self.config.name, project, chains)
            names = {filters.instance_of(chain, project) for chain in left_over(())}
            there = lxd.left_of(project, names)
            no_guests = no_guests and not there
            for name in left_over(there):
                claim = Claim(f"nft chain {filters.GUESTS_FAMILY} {filters.TABLE} {name}")
                delete = self.nftables.delete_chain
                self.report.attempt(claim, delete, filters.TABLE, name, filters.GUESTS_FAMILY)
        return no_guests

    def _remove_firewall(self, *, no_guests: bool) -> None:
        """Delete the tables, unless there may be guests that they hold back."""
        try:
            tables = firewall_work.tables_of(self.config.name, self.nftables.tables())
        except NftablesError as error:
            if self.config.firewall == "managed":
                self.report.stays("the firewall", error)
            return
        for name in tables:
            claim = Claim(f"nft table inet {name}")
            if no_guests:
                self.report.attempt(claim, self.nftables.delete, name)
            else:
                self.report.stays(claim.what, "it guards the instances that are left")

    def _remove_metric_log(self) -> None:
        path = self.config.metric_log.path
        if path is None:
            return
        for file in (path, *path.parent.glob(f"{glob.escape(path.name)}.[0-9]*")):
            if os.path.lexists(file):
                self.report.attempt(Claim(str(file)), os.unlink, file)

    def _remove_state(self, kept: frozenset[str]) -> None:
        """Remove what the daemon has made in its state directory, but for what is needed still."""
        for name in removal.STATE:
            path = self.config.state_directory / name
            if name in kept or not os.path.lexists(path):
                continue
            is_directory = path.is_dir() and not path.is_symlink()
            self.report.attempt(
                Claim(str(path)), shutil.rmtree if is_directory else os.unlink, path
            )
