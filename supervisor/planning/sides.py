"""Who belongs to whom on the two sides, LXD's and GitHub's."""

from collections.abc import Iterable, Sequence

from supervisor.planning.terms import Desired, Listing, Registration, Runner
from supervisor.runners import naming


def unseen(
    desired: Desired,
    runners: Iterable[Runner],
    instances: Iterable[str],
    registrations: Iterable[Registration],
) -> frozenset[str]:
    """Name the instances that should be there by GitHub's list, and that LXD's does not show.

    A list can be incomplete. Whoever believes an empty one makes the whole fleet again, beside
    the one that is there.
    """
    ours = {r.name for r in registrations if _is_ours(desired.installation, r)}
    return frozenset(ours - {r.name for r in runners} - set(instances))


def _is_ours(installation: str, registration: Registration) -> bool:
    return registration.ephemeral and naming.belongs_to(installation, registration.name)


class Sides:
    """Who belongs to whom: by GitHub's number where it is known, as a runner can be renamed.

    Only within one place: elsewhere the same number, or name, is another runner's.
    """

    def __init__(self, installation: str, runners: Sequence[Runner], listing: Listing) -> None:
        self._installation = installation
        self._places = listing.places
        self._listed = [r for r in listing.registrations if r.place in listing.places]
        self._instances = listing.running | listing.stopped
        self._by_id = {r.key: r for r in self._listed}
        self._by_name = {(r.place, r.name): r for r in self._listed}
        self._known = {r.name: r for r in runners}
        self._ids = {(r.place, r.runner_id) for r in runners}

    def can_judge(self, runner: Runner) -> bool:
        """Tell whether GitHub was asked where that runner is registered."""
        return runner.place in self._places

    def registration_of(self, runner: Runner) -> Registration | None:
        """Find a runner's registration."""
        if runner.runner_id is not None:
            return self._by_id.get((runner.place, runner.runner_id))
        found = self._by_name.get((runner.place, runner.name))
        return found if found and _is_ours(self._installation, found) else None

    def is_offline(self, runner: Runner) -> bool:
        """Tell whether GitHub has a runner and does not see it, nor take it for busy."""
        registration = self.registration_of(runner)
        return registration is not None and not (registration.online or registration.busy)

    def is_workless(self, runner: Runner) -> bool:
        """Tell whether GitHub, asked, shows that a runner is not at work: it is gone, or waits."""
        registration = self.registration_of(runner)
        return registration is None or (registration.online and not registration.busy)

    def unmatched(self) -> list[Registration]:
        """Give the registrations of ours that nothing stands behind."""
        ours = [r for r in self._listed if _is_ours(self._installation, r)]
        return [r for r in ours if not self._is_matched(r)]

    def _is_matched(self, registration: Registration) -> bool:
        runner = self._known.get(registration.name)
        if registration.key in self._ids:
            return True
        if runner is None:
            # It may belong to a runner that is about to be adopted.
            return registration.name in self._instances
        return runner.runner_id is None and runner.place == registration.place
