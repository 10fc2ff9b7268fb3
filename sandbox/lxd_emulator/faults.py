"""Misbehaviour on request: of calls, operations, events and guests. Pure.

Each fault says what it strikes and how often. The oldest one that matches is taken.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CallWay = Literal["fail", "hang", "drop"]
OperationWay = Literal["fail", "stall"]
EventWay = Literal["withhold", "delay", "duplicate", "reorder"]
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
            unanswered, nothing done.
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
class OperationFault:
    """A background operation that fails, or stays Running for ever.

    Attributes:
        way: `fail` or `stall`; nothing is done in either case.
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
        way: `withhold`; `delay` by `seconds`; `duplicate`; `reorder` sends it after the next one.
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


Fault = CallFault | OperationFault | EventFault | GuestFault
_Kind = TypeVar("_Kind", CallFault, OperationFault, EventFault, GuestFault)

_BY_NAME: Mapping[str, type[Any]] = {
    "call": CallFault,
    "operation": OperationFault,
    "event": EventFault,
    "guest": GuestFault,
}
_WAYS: Mapping[type[Any], frozenset[str]] = {
    CallFault: frozenset({"fail", "hang", "drop"}),
    OperationFault: frozenset({"fail", "stall"}),
    EventFault: frozenset({"withhold", "delay", "duplicate", "reorder"}),
    GuestFault: frozenset(GuestWay.__args__),  # type: ignore[attr-defined]
}


@dataclass
class _Wanted:
    fault: Fault
    left: int | None


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
            lambda fault: fnmatchcase(action, fault.action) and fnmatchcase(name, fault.name),
        )

    def guest(self, name: str) -> GuestFault | None:
        """Take the fault for a guest that starts, if one is wanted."""
        return self._take(GuestFault, lambda fault: fnmatchcase(name, fault.name))

    def _take(self, kind: type[_Kind], matches: Callable[[_Kind], bool]) -> _Kind | None:
        for wanted in self._wanted:
            fault = wanted.fault
            if isinstance(fault, kind) and matches(fault):
                if wanted.left is not None:
                    wanted.left -= 1
                    if wanted.left <= 0:
                        self._wanted.remove(wanted)
                return fault
        return None


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
