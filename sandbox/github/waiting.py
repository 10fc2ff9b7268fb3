"""The jobs that wait for a runner, oldest first, found without looking at each."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.github.model import Job

_Demand = tuple[str, tuple[str, ...]]


class WaitingJobs:
    """Waiting jobs, in one line for each kind of demand (repository and labels).

    All jobs of a line suit the same runners, so a runner is compared with the lines' heads only:
    thousands of alike jobs cost one comparison.
    """

    def __init__(self) -> None:
        self._lines: dict[_Demand, dict[int, Job]] = {}

    def add(self, job: Job) -> None:
        """Put a job into its line. One that comes back goes before all that are younger."""
        line = self._lines.setdefault(_demand(job), {})
        comes_back = bool(line) and next(reversed(line)) > job.id
        line[job.id] = job
        if comes_back:
            self._lines[_demand(job)] = dict(sorted(line.items()))

    def remove(self, job: Job) -> None:
        """Take a certain job out.

        Raises:
            KeyError: it does not wait.
        """
        line = self._lines[_demand(job)]
        del line[job.id]
        if not line:
            del self._lines[_demand(job)]

    def take(self, suits: Callable[[Job], bool]) -> int | None:
        """Take the oldest job that suits; None if none does."""
        heads = sorted(
            (next(iter(line.values())) for line in self._lines.values()), key=lambda job: job.id
        )
        for job in heads:
            if suits(job):
                self.remove(job)
                return job.id
        return None


def _demand(job: Job) -> _Demand:
    return job.repository.casefold(), tuple(sorted(label.casefold() for label in job.labels))
