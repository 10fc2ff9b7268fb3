"""What is registered at all places, as their lists come in: a part of the tokens actor."""

from dataclasses import replace

from supervisor.causes import Fault
from supervisor.github.errors import GitHubError
from supervisor.messages.tokens import RegistrationsListed
from supervisor.planning import Registration

Registrations = tuple[Registration, ...]


class PlacesListing:
    """One listing of all places, which is under way.

    Args:
        places: those that are asked.
    """

    def __init__(self, places: set[str]) -> None:
        self._waits_for = places
        self._outcomes: dict[str, Registrations | GitHubError] = {}
        self.is_late = False
        """Nobody waits for former places any more."""

    def take(self, place: str, outcome: Registrations | GitHubError) -> None:
        """Take in a place's list, or why there is none."""
        self._waits_for.discard(place)
        self._outcomes[place] = outcome

    def is_complete(self, here: str) -> bool:
        """Tell whether it can be answered.

        Args:
            here: the configured place, whose list must not wait for those of former ones too long.
        """
        return not (self._waits_for & {here} if self.is_late else self._waits_for)

    def answer(self, ticket: int, here: str) -> RegistrationsListed:
        """Sum up: what is registered where, and why the configured place could not be listed."""
        listed = {p: o for p, o in self._outcomes.items() if not isinstance(o, GitHubError)}
        found = tuple(replace(r, place=place) for place in listed for r in listed[place])
        error = self._outcomes.get(here)
        fault = Fault(str(error), error.cause) if isinstance(error, GitHubError) else Fault()
        return RegistrationsListed(ticket, found, fault.reason, frozenset(listed), fault.cause)
