"""How something that is kept current stands, in data and in words for people."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

State = Literal["waiting", "ready", "upgrading", "failing"]

_WORST: tuple[State, ...] = ("failing", "upgrading", "waiting", "ready")


@dataclass(frozen=True, kw_only=True)
class Standing:
    """One thing that is kept current.

    Attributes:
        what: it is, such as "runner application".
        state: ready where one that is good is in use, whatever became of looking for another;
            upgrading while a newer one is being got, failing where there is none that is good, or
            something else is lacking.
        installed: the version in use; empty if there is none.
        installed_at: since when that is in use; None where that is not known.
        latest: the newest version known of; empty where that is not known, None where there is
            no such thing.
        latest_since: when this installation first heard of it.
        checked_at: when that was found out last.
        error: why the newest is not in use, or not known; empty if all is well.
        warning: the same, where the operator is to be told of it while the last good one serves.
        progress: how far a download is, or whatever else takes long.
        looks: how many looks for a newer one this incarnation has done.
        details: more, as JSON takes it.
    """

    what: str
    state: State
    installed: str = ""
    installed_at: datetime | None = None
    latest: str | None = ""
    latest_since: datetime | None = None
    checked_at: datetime | None = None
    error: str = ""
    warning: str = ""
    progress: str = ""
    looks: int = 0
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def outdated_since(self) -> datetime | None:
        """Since when another version than that in use is the newest known of; None if none is."""
        is_other = self.installed and self.latest and self.installed != self.latest
        return self.latest_since if is_other else None


def in_words(standings: Sequence[Standing]) -> tuple[State, str]:
    """Give the state of the worst of them, and a reason that tells of each."""
    state = min((one.state for one in standings), key=_WORST.index)
    return state, "; ".join(_sentence(one) for one in standings)


def warnings(standings: Iterable[Standing]) -> tuple[str, ...]:
    """Say of which a last good version serves, as a newer one could not be had."""
    return tuple(one.warning for one in standings if one.warning)


def _sentence(one: Standing) -> str:
    if one.state == "waiting":
        return f"{one.what}: {one.progress or 'is being looked at'}"
    if one.state == "failing" and one.installed:
        return f"{one.what}: {one.error}"
    if one.state == "failing":
        return f"{one.what}: none can be used: {one.error}"
    if one.state == "upgrading":
        progress = f": {one.progress}" if one.progress else ""
        meanwhile = f"{one.installed} is in use, " if one.installed else ""
        return f"{one.what}: {meanwhile}{_newer(one)} is being got{progress}"
    at = f", checked at {one.checked_at:%H:%M:%S} UTC" if one.checked_at else ""
    if one.error:
        known = one.outdated_since
        newer = f", {one.latest} is known since {known:%Y-%m-%d %H:%M} UTC" if known else ""
        return f"{one.what}: {one.installed} stays in use{newer}{at}: {one.error}"
    is_latest = ", the latest" if one.latest == one.installed else ""
    since = one.installed_at
    in_use = f", in use since {since:%Y-%m-%d %H:%M} UTC" if since else ""
    return f"{one.what}: {one.installed}{is_latest}{at}{in_use}"


def _newer(one: Standing) -> str:
    """Name what is being got; which version that is may be known only when it is there."""
    if one.latest and one.latest != one.installed:
        return one.latest
    return "another" if one.installed else "the first one"
