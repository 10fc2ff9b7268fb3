"""The places where runners of ours are still registered, though another is configured by now.

A part of the tokens actor, in its thread.
"""

from collections.abc import Callable, Iterator

from loguru import logger

from supervisor.actors.former_place import FormerPlace
from supervisor.actors.github_line import Line
from supervisor.config import Config
from supervisor.github import places
from supervisor.github.errors import GitHubError
from supervisor.github.turns import Done
from supervisor.parts import Parts
from supervisor.planning import Registration
from supervisor.runners import naming
from supervisor.supervision import Clock

Registrations = tuple[Registration, ...]


class FormerPlaces:
    """Knows them by what was configured before, by what runners say of themselves, and by notes.

    One is forgotten as soon as it has no runner and no registration of ours any more.

    Args:
        parts: what the actors share.
        make_line: makes a line to where a configuration says.
        clock: tells the time.
    """

    def __init__(self, parts: Parts, make_line: Callable[[Config], Line], clock: Clock) -> None:
        self._parts = parts
        self._make_line = make_line
        self._clock = clock
        self._there: dict[str, FormerPlace] = {}

    def arrive(self, place: str) -> None:
        """Take note of the place that is configured from now on."""
        self._parts.places.add(place)

    def lines(self) -> Iterator[Line]:
        """Give the lines to all of them."""
        return (former.line for former in self._there.values() if former.line)

    def leave(self, line: Line) -> None:
        """Take in the place that was configured until now, with its credential."""
        line.keep_credential()
        self._there[line.place] = FormerPlace(line.place, line, self._clock)

    def come_back(self, place: str) -> Line | None:
        """Give the line to a place that is configured again: what it is doing goes on."""
        former = self._there.pop(place, None)
        return former.line if former else None

    def reconfigured(self) -> None:
        """Ask through the configured proxies.

        And with the configured credential, wherever the one used until now is refused.
        """
        for place, former in tuple(self._there.items()):
            if former.line is None:
                del self._there[place]  # made anew when it is needed: perhaps it can be asked now
            else:
                former.use_proxies(self._parts.settings.config.proxies)
                former.may_ask_as(places.config_at(self._parts.settings.config, place))

    def at(self, place: str) -> FormerPlace:
        """Give one."""
        if place not in self._there:
            config = places.config_at(self._parts.settings.config, place)
            line = self._make_line(config) if config else None
            self._there[place] = FormerPlace(place, line, self._clock)
        return self._there[place]

    def is_lost(self, place: str) -> bool:
        """Tell whether it can't be asked any more."""
        return place in self._there and self._there[place].is_lost

    def reasons(self) -> dict[str, str]:
        """Say of each why it can't be asked; empty if it can."""
        return {place: former.reason for place, former in sorted(self._there.items())}

    def in_use(self, here: str) -> list[FormerPlace]:
        """Give those that runners, or registrations, may be left at.

        Args:
            here: the place that is configured.
        """
        self._parts.places.add(here)  # a disk that was full may have room now
        for place in (self._of_runners() | self._parts.places.all()) - {here}:
            self.at(place)
        return list(self._there.values())

    def list(self, former: FormerPlace, done: Done[Registrations]) -> None:
        """List what is registered at one of them; forget it if nothing is left there."""
        is_empty = former.place not in self._of_runners()

        def listed(outcome: Registrations | GitHubError) -> None:
            done(outcome)
            # Not while a runner's end may have left something there since the listing began.
            if is_empty and former.place not in self._of_runners():
                self._forget_if_over(former, outcome)

        former.list(listed)

    def _forget_if_over(self, former: FormerPlace, outcome: Registrations | GitHubError) -> None:
        if isinstance(outcome, GitHubError):
            is_over = former.is_lost
        else:
            name = self._parts.settings.config.name
            ours = (r for r in outcome if r.ephemeral and naming.belongs_to(name, r.name))
            is_over = not any(ours)
        is_busy = former.line is not None and not former.line.is_idle
        if is_over and not is_busy and self._there.get(former.place) is former:
            logger.info("nothing is left to do at {}", former.place)
            del self._there[former.place]
            self._parts.places.remove(former.place)
            if former.line:
                former.line.close()

    def _of_runners(self) -> set[str]:
        return {entry.place for entry in self._parts.roster.all() if entry.place}
