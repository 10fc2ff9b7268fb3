"""What GitHub tells of the jobs that runners have had: since when they were queued, and their ends.

Endpoint: https://docs.github.com/en/rest/actions/workflow-jobs.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from supervisor.github.budget import PAGE
from supervisor.github.errors import reading
from supervisor.github.exchange import Request, Talk
from supervisor.github.scope import Scope
from supervisor.text import moments

_MOST_PAGES = 10
_WORD = re.compile(r"[a-z_]{1,40}")


@dataclass(frozen=True)
class RunJob:
    """A job of a workflow run.

    Attributes:
        queued_at: when it began to wait for a runner.
        started_at: when a runner began it.
        conclusion: how it ended, in GitHub's word; empty while that shows no end of it.
    """

    queued_at: datetime
    started_at: datetime
    conclusion: str

    @property
    def queue_s(self) -> float:
        """Seconds that it waited."""
        return max(0.0, (self.started_at - self.queued_at).total_seconds())


def run_jobs(repository: Scope, run_id: int, runners: frozenset[str]) -> Talk[dict[str, RunJob]]:
    """Find what some runners have had of a run's jobs, those of earlier attempts included.

    Args:
        repository: whose run.
        run_id: GitHub's number of it.
        runners: by these names; no page is asked for once all of them are found.

    Returns:
        The jobs by their runners' names, as far as they were found.

    Raises:
        GitHubError: they can't be listed.
    """
    aim = f"list the jobs of run {run_id} of {repository.name}"
    path = f"{repository.api_path}/actions/runs/{run_id}/jobs?filter=all&per_page={PAGE}&page="
    found: dict[str, RunJob] = {}
    for page in range(1, _MOST_PAGES + 1):
        answer = yield Request("GET", f"{path}{page}", aim)
        with reading(aim):
            listed = list(answer.data["jobs"])
            found.update(
                (job["runner_name"], _job(job)) for job in listed if job["runner_name"] in runners
            )
            total = int(answer.data["total_count"])
        if found.keys() == runners or not listed or page * PAGE >= total:
            break
    return found


def _job(job: Mapping[str, Any]) -> RunJob:
    conclusion = job["conclusion"] or ""
    if conclusion and not _WORD.fullmatch(conclusion):
        raise ValueError("not as GitHub writes it")
    return RunJob(_moment(job["created_at"]), _moment(job["started_at"]), conclusion)


def _moment(text: str) -> datetime:
    moment = moments.read(text)
    if moment is None:
        raise ValueError("not as GitHub writes it")
    return moment
