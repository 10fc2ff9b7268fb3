"""Misbehaviour on request: of calls, listings, operations, events and guests. Pure.

Each fault says what it strikes and how often. The oldest one that matches is taken.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

CallWay = Literal["fail", "hang", "drop", "lose", "garble"]
ListingWay = Literal["hide", "freeze"]
OperationWay = Literal["fail", "stall", "pretend"]
EventWay = Literal["withhold", "delay", "duplicate", "reorder", "mute"]
GuestWay = Literal[
    "never-boots",
    "never-signals",
    "garbage-signals",
    "dies-in-job",
    "registration-gone",
    "never-ends",
    "ignores-shutdown",
    "fails",
]


@dataclass(frozen=True, kw_only=True)
class CallFault:
    """A call that goes wrong.

    Attributes:
        way: `fail` answers `status` and `text`; `hang` answers after `seconds`, or never if that
            is None, and the call does what it should then; `drop` closes the connection
            unanswered, nothing done; `lose` does what it should, and closes the connection in the
            place of the answer; `garble` answers `text` as it is, with `status`, nothing done.
        method: HTTP's, or `*`.
        path: A shell pattern of the path, without query.
        times: How often; None for ever.
    """

    way: CallWay
    method: str = "*"
    path: str = "*"
    status: int = 500
    text: str = "the emulator was told to fail"
    seconds: float | None = None
    times: int | None = 1


@dataclass(frozen=True, kw_only=True)
class ListingFault:
    """A list of the instances that isn't true. Each instance asked for by name is there as ever.

    Attributes:
        way: `hide` leaves instances out; `freeze` lists those that were there when this fault
            struck for the first time.
        name: A shell pattern of the names that are hidden; all, and the list is empty.
        times: How often; None for ever.
    """

    way: ListingWay
    name: str = "*"
    times: int | None = 1


@dataclass(frozen=True, kw_only=True)
class OperationFault:
    """A background operation that fails, or stays Running for ever.

    Attributes:
        way: `fail` or `stall`, nothing is done in either case; `pretend` does it and says then
            that it has failed.
        description: A shell pattern of LXD's words for it, such as `Creating instance`.
        name: A shell pattern of the instance's or image's name.
        text: The error that it fails with.
        times: How often; None for ever.
    """

    way: OperationWay
    description: str = "*"
    name: str = "*"
    text: str = "the emulator was told to fail"
    times: int | None = 1


@dataclass(frozen=True, kw_only=True)
class EventFault:
    """An event that doesn't arrive as it should.

    Attributes:
        way: `withhold`; `delay` by `seconds`; `duplicate`; `reorder` sends it after the next one;
            `mute` strikes a stream that begins: nothing ever comes on it, no sign of life either.
        action: A shell pattern of a lifecycle event's action; an operation's is its description.
        name: A shell pattern of the last part of its source: the instance's name.
        seconds: Of delay.
        times: How often; None for ever.
    """

    way: EventWay
    action: str = "*"
    name: str = "*"
    seconds: float = 1.0
    times: int | None = 1


@dataclass(frozen=True, kw_only=True)
class GuestFault:
    """A guest that doesn't do what it should, from its start on.

    Attributes:
        way: `never-boots` does nothing at all; `never-signals` works without telling the host;
            `garbage-signals` tells the host nonsense; `dies-in-job` ends in the middle of a job;
            `registration-gone` finds its runner deleted; `never-ends` doesn't power off;
            `ignores-shutdown` can be stopped by force only; `fails` reports a failure and ends.
        name: A shell pattern of the instance's name.
        times: How often; None for ever.
    """

    way: GuestWay
    name: str = "*"
    times: int | None = 1


Fault = CallFault | ListingFault | OperationFault | EventFault | GuestFault
_Kind = TypeVar("_Kind", CallFault, ListingFault, OperationFault, EventFault, GuestFault)


class _Named(Protocol):
    @property
    def name(self) -> str: ...


_Item = TypeVar("_Item", bound=_Named)

_BY_NAME: Mapping[str, type[Any]] = {
    "call": CallFault,
    "listing": ListingFault,
    "operation": OperationFault,
    "event": EventFault,
    "guest": GuestFault,
}
_WAYS: Mapping[type[Any], frozenset[str]] = {
    CallFault: frozenset(CallWay.__args__),  # type: ignore[attr-defined]
    ListingFault: frozenset(ListingWay.__args__),  # type: ignore[attr-defined]
    OperationFault: frozenset(OperationWay.__args__),  # type: ignore[attr-defined]
    EventFault: frozenset(EventWay.__args__),  # type: ignore[attr-defined]
    GuestFault: frozenset(GuestWay.__args__),  # type: ignore[attr-defined]
}


@dataclass
class _Wanted:
    fault: Fault
    left: int | None
    kept: tuple[Any, ...] | None = None


class Faults:
    """The faults that are wanted, and the count of what is left of each."""

    def __init__(self) -> None:
        self._wanted: list[_Wanted] = []

    def add(self, fault: Fault) -> None:
        """Want a fault, after those that are wanted already."""
        self._wanted.append(_Wanted(fault, fault.times))

    def clear(self) -> None:
        """Want none any more."""
        self._wanted.clear()

    def call(self, method: str, path: str) -> CallFault | None:
        """Take the fault for a call, if one is wanted."""
        return self._take(
            CallFault,
            lambda fault: fault.method in {"*", method} and fnmatchcase(path, fault.path),
        )

    def listed(self, there: Sequence[_Item]) -> Sequence[_Item]:
        """Give what a listing shows of what is there; the fault for it is taken."""
        wanted = self._find(ListingFault, lambda _: True)
        if wanted is None:
            return there
        fault = wanted.fault
        self._count(wanted)
        if isinstance(fault, ListingFault) and fault.way == "hide":
            return [item for item in there if not fnmatchcase(item.name, fault.name)]
        wanted.kept = tuple(there) if wanted.kept is None else wanted.kept
        return wanted.kept

    def is_mute(self) -> bool:
        """Take the fault for an event stream that begins: tell whether nothing comes on it."""
        return self._take(EventFault, lambda fault: fault.way == "mute") is not None

    def operation(self, description: str, name: str) -> OperationFault | None:
        """Take the fault for an operation, if one is wanted."""
        return self._take(
            OperationFault,
            lambda fault: (
                fnmatchcase(description, fault.description) and fnmatchcase(name, fault.name)
            ),
        )

    def event(self, action: str, name: str) -> EventFault | None:
        """Take the fault for an event, if one is wanted."""
        return self._take(
            EventFault,
            lambda fault: (
                fault.way != "mute"
                and fnmatchcase(action, fault.action)
                and fnmatchcase(name, fault.name)
            ),
        )

    def guest(self, name: str) -> GuestFault | None:
        """Take the fault for a guest that starts, if one is wanted."""
        return self._take(GuestFault, lambda fault: fnmatchcase(name, fault.name))

    def _take(self, kind: type[_Kind], matches: Callable[[_Kind], bool]) -> _Kind | None:
        wanted = self._find(kind, matches)
        if wanted is None:
            return None
        self._count(wanted)
        return wanted.fault if isinstance(wanted.fault, kind) else None

    def _find(self, kind: type[_Kind], matches: Callable[[_Kind], bool]) -> _Wanted | None:
        for wanted in self._wanted:
            if isinstance(wanted.fault, kind) and matches(wanted.fault):
                return wanted
        return None

    def _count(self, wanted: _Wanted) -> None:
        if wanted.left is not None:
            wanted.left -= 1
            if wanted.left <= 0:
                self._wanted.remove(wanted)


def read_fault(document: Mapping[str, Any]) -> Fault:
    """Read a fault from JSON: its fields, and `kind`: call, operation, event or guest.

    Raises:
        ValueError: It can't be read; the message says why.
    """
    values = dict(document)
    kind = _BY_NAME.get(values.pop("kind", ""))
    if kind is None:
        raise ValueError(f"kind must be one of {', '.join(_BY_NAME)}")
    known = {field.name for field in fields(kind)}
    if unknown := sorted(set(values) - known):
        raise ValueError(f"unknown: {', '.join(unknown)}; known: {', '.join(sorted(known))}")
    if values.get("way") not in _WAYS[kind]:
        raise ValueError(f"way must be one of {', '.join(sorted(_WAYS[kind]))}")
    fault: Fault = kind(**values)
    return fault
