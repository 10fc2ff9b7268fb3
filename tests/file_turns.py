"""Which worker runs which file: three begin with those with real LXDs, others with the rest.

Tests with a LXD wait for guests for a good part of their time, so three are at work on a machine
with two processors, and no more for as long as there is anything else to do: a LXD and its guests
want a processor when they want one. What takes longest comes first, and the many small files of the
unit tests last, so that all workers end at the same time.
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
# What the other workers begin with: they take the last that is left.
_WITHOUT = "tests/integration/"


def rank(nodeid: str) -> int:
    """Say where a test's file comes: those with a LXD first, and the slowest of them before all."""
    places = (place for place, start in enumerate(_WITH_LXD) if nodeid.startswith(start))
    return next(places, len(_WITH_LXD) + nodeid.startswith(_WITHOUT))


def order(items: list[pytest.Item]) -> None:
    """Put tests with a LXD first and small ones in the middle, and leave their order otherwise."""
    items.sort(key=lambda item: rank(item.nodeid))


class FileTurns(LoadFileScheduling):
    """Gives each file to one worker: to three the first that is left, to the others the last."""

    def _assign_work_unit(self, node: WorkerController) -> None:
        if self.nodes.index(node) >= LXDS_AT_ONCE:
            last = next(reversed(self.workqueue))
            self.workqueue.move_to_end(last, last=False)
        super()._assign_work_unit(node)

    def remove_node(self, node: WorkerController) -> str | None:
        """Take a worker away that has crashed; return at which test."""
        work = self.assigned_work[node]
        # A worker that is given a file without anything left to do is never heard of again.
        for file in [file for file, tests in work.items() if all(tests.values())]:
            del work[file]
        return super().remove_node(node)
