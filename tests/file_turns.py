"""Which worker runs which file: three begin with those with real LXDs, others with the rest.

Tests with a LXD wait for guests for a good part of their time, so three are at work on a machine
with two processors, and no more for as long as there is anything else to do: a LXD and its guests
want a processor when they want one. The slowest files of either kind come first, and the many small
ones of the unit tests last, so that all workers end at the same time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdist.scheduler import LoadFileScheduling

if TYPE_CHECKING:
    import pytest
    from xdist.workermanage import WorkerController

LXDS_AT_ONCE = 3
# Most of what is in these has a LXD of its own; the slowest files are in the first.
_WITH_LXD = (
    "tests/e2e/charm/",
    "tests/e2e/",
    "tests/integration/lxd/",
    "tests/integration/guest/",
    "tests/integration/images/",
)
_WITHOUT = ("tests/integration/charm/", "tests/integration/")
_PLACES = _WITH_LXD + _WITHOUT


def rank(nodeid: str) -> int:
    """Say how early a test's file comes: those with a LXD first, and of either kind the slowest."""
    places = (place for place, start in enumerate(_PLACES) if nodeid.startswith(start))
    return next(places, len(_PLACES))


def order(items: list[pytest.Item]) -> None:
    """Put slow tests first, and leave their order as it is otherwise."""
    items.sort(key=lambda item: rank(item.nodeid))


class FileTurns(LoadFileScheduling):
    """Gives each file to one worker: to three the first, to others the first without a LXD."""

    def _assign_work_unit(self, node: WorkerController) -> None:
        if self.nodes.index(node) >= LXDS_AT_ONCE:
            without = (file for file in self.workqueue if not file.startswith(_WITH_LXD))
            self.workqueue.move_to_end(next(without, next(iter(self.workqueue))), last=False)
        super()._assign_work_unit(node)

    def remove_node(self, node: WorkerController) -> str | None:
        """Take a worker away that has crashed; return at which test."""
        work = self.assigned_work[node]
        # A worker that is given a file without anything left to do is never heard of again.
        for file in [file for file, tests in work.items() if all(tests.values())]:
            del work[file]
        return super().remove_node(node)
