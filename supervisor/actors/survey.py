"""The listing of both sides, LXD's and GitHub's: a part of the fleet's actor, in its thread."""

import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pykka

from supervisor import planning
from supervisor.causes import Cause, Fault
from supervisor.gateways.lxd import Instance, Lxd, LxdError, NotFound, TimedOut
from supervisor.messages.fleet import InstancesListed
from supervisor.messages.tokens import ListRegistrations, RegistrationsListed
from supervisor.parts import Parts
from supervisor.planning import Desired, Listing, Runner
from supervisor.runners import marks
from supervisor.runners.marks import Marks
from supervisor.supervision import Directory

LIMIT_S = 60.0
_LOOK_S = 10.0
_LOOKS_S = 20.0
"""For all that are asked for by name in one survey: another listing must not wait behind them."""


@dataclass(frozen=True)
class Late:
    """A survey has taken too long."""

    ticket: int


@dataclass(frozen=True)
class Found:
    """What a survey has found.

    Attributes:
        instances: of ours, with what each says of itself.
        registered: GitHub's list.
        lxd_fault: why LXD's could not be had.
    """

    instances: Mapping[str, Marks]
    registered: RegistrationsListed
    lxd_fault: Fault = field(default_factory=Fault)

    @property
    def trouble(self) -> Fault:
        """What could not be listed, and why."""
        registered = Fault(self.registered.error, self.registered.cause)
        faults = [fault for fault in (self.lxd_fault, registered) if fault]
        reason = "; ".join(fault.reason for fault in faults)
        return Fault(reason, faults[0].cause) if faults else Fault()

    def as_planned(self) -> Listing:
        """Give it as the plan takes it."""
        running = frozenset(name for name, found in self.instances.items() if found.seen.running)
        return Listing(
            running=running,
            stopped=frozenset(self.instances) - running,
            registrations=self.registered.registrations,
            places=self.registered.places,
        )


class Survey:
    """Has both sides listed at the same time, one survey after another.

    Args:
        parts: what the actors share.
        directory: who hears that GitHub is to be listed.
        ref: the fleet's actor, which is told both answers and hands them on to `take`.
    """

    def __init__(self, parts: Parts, directory: Directory, ref: pykka.ActorRef[Any]) -> None:
        self._parts = parts
        self._directory = directory
        self._ref = ref
        # An answer to an earlier incarnation of the fleet must not be taken for one to this.
        self._ticket = secrets.randbits(48)
        self._listing: InstancesListed | None = None
        self._registered: RegistrationsListed | None = None
        self._had_actor: set[str] = set()
        self._ended: set[str] = set()
        self._absent: frozenset[str] = frozenset()
        self.under_way = False

    def begin(self) -> Late:
        """Have both sides listed.

        Returns:
            The message that says, told after `LIMIT_S`, that it has taken too long.
        """
        self.under_way = True
        self._ticket += 1
        self._listing = self._registered = None
        here = {entry.name for entry in self._parts.roster.all()}
        self._ended = (self._ended | self._had_actor) - here
        self._had_actor = here
        installation = self._parts.settings.config.name
        work = partial(list_instances, self._parts.lxd, installation, self._ticket)
        self._parts.listing.submit(work, self._ref)
        self._directory.tell("tokens", ListRegistrations(self._ticket))
        return Late(self._ticket)

    def note_actor(self, name: str) -> None:
        """Note that an actor has been started meanwhile."""
        self._had_actor.add(name)

    def take(self, message: InstancesListed | RegistrationsListed | Late) -> None:
        """Take an answer, or that one has not come in time; those of earlier surveys are none."""
        if message.ticket != self._ticket or not self.under_way:
            return
        if isinstance(message, InstancesListed):
            self._listing = message
        elif isinstance(message, RegistrationsListed):
            self._registered = message
        else:
            late = f"took more than {LIMIT_S:.0f} s to list"
            self._listing = self._listing or InstancesListed(
                self._ticket, error=f"LXD {late}", cause=Cause.LXD_UNAVAILABLE
            )
            self._registered = self._registered or RegistrationsListed(
                self._ticket, error=f"GitHub {late}", cause=Cause.GITHUB_UNAVAILABLE
            )

    def shown(self) -> dict[str, Marks]:
        """Give what LXD has shown, also while GitHub is waited for, but for what is doubtful."""
        if not self.under_way or self._listing is None:
            return {}
        shown = self._not_ended_since(self._listing.instances)
        return {name: found for name, found in shown.items() if name not in self._ended}

    def result(self, desired: Desired, runners: Sequence[Runner]) -> Found | None:
        """End the survey if both answers are there, and LXD was asked where its list may be wrong.

        It may lack what GitHub shows; and it may show still whose actor has ended, or again: LXD
        may make late what it was asked for before.
        """
        listing, registered = self._listing, self._registered
        if not self.under_way or listing is None or registered is None:
            return None
        if not listing.error:
            listed = registered.registrations
            unseen = planning.unseen(desired, runners, listing.instances, listed) - self._absent
            doubtful = self._ended & listing.instances.keys()
            if unasked := (unseen | doubtful) - listing.asked:
                self._listing = None
                work = partial(look_closer, self._parts.lxd, desired.installation, listing, unasked)
                self._parts.listing.submit(work, self._ref)
                return None
            self._ended &= listing.instances.keys() | listing.asked
        # Where there are too many for one survey, the next one goes on with those that are left.
        goes_on = bool(listing.error and listing.asked)
        self._absent = self._absent | listing.asked if goes_on else frozenset()
        self.under_way = False
        instances, fault = (
            self._not_ended_since(listing.instances),
            Fault(listing.error, listing.cause),
        )
        return Found(instances, registered, fault)

    def _not_ended_since(self, listed: Mapping[str, Marks]) -> dict[str, Marks]:
        """Leave out instances whose actors have ended since they were listed: they are gone."""
        ended = self._had_actor - {entry.name for entry in self._parts.roster.all()}
        return {name: found for name, found in listed.items() if name not in ended}


def list_instances(lxd: Lxd, installation: str, ticket: int) -> InstancesListed:
    """List what LXD has of this installation."""
    try:
        found = lxd.instances()
    except LxdError as error:
        return InstancesListed(ticket, error=str(error), cause=error.cause)
    return InstancesListed(ticket, _ours(found, installation))


def look_closer(
    lxd: Lxd, installation: str, listed: InstancesListed, names: frozenset[str]
) -> InstancesListed:
    """Ask for instances by name, and have a list show of them what there is.

    A list without those that there was no time to ask for is none.
    """
    deadline = time.monotonic() + _LOOKS_S
    found, absent = [], set()
    for done, name in enumerate(sorted(names)):
        try:
            if done and time.monotonic() >= deadline:
                raise TimedOut(
                    f"{len(names)} runners seem to be other than LXD lists them; LXD was asked "
                    f"for {done} of them in {_LOOKS_S:g} s, and is asked for the others next time"
                )
            found.append(lxd.instance(name, limit_s=_LOOK_S))
        except NotFound:
            absent.add(name)
        except LxdError as error:
            fault = Fault(str(error), error.cause)
            return InstancesListed(
                listed.ticket, error=fault.reason, cause=fault.cause, asked=frozenset(absent)
            )
    others = {name: marks for name, marks in listed.instances.items() if name not in names}
    instances = {**others, **_ours(found, installation)}
    return replace(listed, instances=instances, asked=listed.asked | names)


def _ours(found: Iterable[Instance], installation: str) -> dict[str, Marks]:
    return {
        instance.name: marks.read(instance.status, instance.config)
        for instance in found
        if marks.are_of(installation, instance.config)
    }
