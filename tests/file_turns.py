"""Which worker runs which file: two begin with those with real LXDs, others with the rest.

A LXD and its guests want a processor when they want one, so on a machine with two no more than two
are at work for as long as there is anything else to do. Most other tests wait most of their time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xdist.scheduler import LoadFileScheduling

if TYPE_CHECKING:
    import pytest
    from xdist.workermanage import WorkerController

LXDS_AT_ONCE = 2
# Most of what is in these has a LXD of its own; the slowest files are in the first.
_WITH_LXD = (
    "tests/e2e/charm/",
    "tests/e2e/",
    "tests/integration/lxd/",
    "tests/integration/guest/",
    "tests/integration/images/",
)


def rank(nodeid: str) -> int:
    """Say how early a test's file comes: those with a LXD first, the slowest of them before all."""
    places = (place for place, start in enumerate(_WITH_LXD) if nodeid.startswith(start))
    return next(places, len(_WITH_LXD))


def order(items: list[pytest.Item]) -> None:
    """Put tests with a LXD first, and leave their order as it is otherwise."""
    items.sort(key=lambda item: rank(item.nodeid))


class FileTurns(LoadFileScheduling):
    """Gives each file to one worker: to two the first that is left, to the others the last."""

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
