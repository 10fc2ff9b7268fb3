"""Runners, groups, jobs and runs as GitHub's REST API shows them."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from sandbox.github.profiles import minimal_repository, node_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.github.model import Job, Label, Runner, RunnerGroup, Scope
    from sandbox.github.profiles import RepositoryProfile

Document = dict[str, Any]


def timestamp(moment: datetime) -> str:
    """Return a moment as GitHub writes it: UTC, to the second."""
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def label_document(label: Label) -> Document:
    """Return one label."""
    return {"id": label.id, "name": label.name, "type": label.type}


def runner_document(runner: Runner) -> Document:
    """Return one runner."""
    document: Document = {
        "id": runner.id,
        "name": runner.name,
        "os": runner.os,
        "status": runner.status,
        "busy": runner.busy,
        "ephemeral": runner.ephemeral,
        "version": runner.version,
        "labels": [label_document(label) for label in runner.labels],
        "runner_group_id": runner.group_id,
    }
    return document


def labels_document(runner: Runner) -> Document:
    """Return a runner's labels."""
    labels = [label_document(label) for label in runner.labels]
    return {"total_count": len(labels), "labels": labels}


def group_document(group: RunnerGroup, scope: Scope, base: str) -> Document:
    """Return one runner group of an organisation or an enterprise."""
    url = f"{base}{scope.path}/actions/runner-groups/{group.id}"
    document: Document = {
        "id": group.id,
        "name": group.name,
        "visibility": group.visibility,
        "default": group.default,
        "runners_url": f"{url}/runners",
        "hosted_runners_url": f"{url}/hosted-runners",
        "allows_public_repositories": group.allows_public_repositories,
        "restricted_to_workflows": False,
        "selected_workflows": [],
        "workflow_restrictions_read_only": group.inherited_from is not None,
    }
    chosen = "organizations" if scope.kind == "enterprise" else "repositories"
    if scope.kind == "organization":
        document["inherited"] = group.inherited_from is not None
    if group.visibility == "selected":
        document[f"selected_{chosen}_url"] = f"{url}/{chosen}"
    return document


def job_document(job: Job, base: str) -> Document:
    """Return one job of a workflow run."""
    repository = f"{base}/repos/{job.repository}"
    times = {"started_at": job.started_at, "completed_at": job.completed_at}
    shown = {name: timestamp(moment) if moment else None for name, moment in times.items()}
    return {
        "id": job.id,
        "run_id": job.run_id,
        "run_url": f"{repository}/actions/runs/{job.run_id}",
        "run_attempt": 1,
        "node_id": node_id("CheckRun", job.id),
        "head_sha": job.sha,
        "url": f"{repository}/actions/jobs/{job.id}",
        "html_url": f"{base}/{job.repository}/actions/runs/{job.run_id}/job/{job.id}",
        "status": job.status,
        "conclusion": job.conclusion,
        "created_at": timestamp(job.queued_at),
        # GitHub never leaves it empty: a job that waits shows when it was queued.
        "started_at": shown["started_at"] or timestamp(job.queued_at),
        "completed_at": shown["completed_at"],
        "name": job.name,
        "steps": _steps(job, shown) if job.started_at else [],
        "check_run_url": f"{repository}/check-runs/{job.id}",
        "labels": list(job.labels),
        "runner_id": job.runner_id,
        "runner_name": job.runner_name,
        "runner_group_id": job.runner_group_id,
        "runner_group_name": job.runner_group_name,
        "workflow_name": job.workflow,
        "head_branch": head_branch(job),
    }


def run_document(jobs: Sequence[Job], repository: RepositoryProfile, base: str) -> Document:
    """Return the workflow run that some jobs belong to.

    Args:
        jobs: the run's jobs, at least one.
        repository: where it belongs.
        base: the API's address as the client knows it.
    """
    first = jobs[0]
    url = f"{base}{repository.path}/actions/runs/{first.run_id}"
    workflow_url = f"{base}{repository.path}/actions/workflows/1"
    path = f".github/workflows/{first.workflow}.yaml"
    repository_document = minimal_repository(repository, base)
    latest = max(moment for job in jobs for moment in _moments(job))
    return {
        "id": first.run_id,
        "name": first.workflow,
        "node_id": node_id("WorkflowRun", first.run_id),
        "head_branch": head_branch(first),
        "head_sha": first.sha,
        "path": path,
        "display_title": first.workflow,
        "run_number": first.run_id,
        "run_attempt": 1,
        "event": first.event,
        "status": run_status(jobs),
        "conclusion": run_conclusion(jobs),
        "workflow_id": 1,
        "check_suite_id": first.run_id,
        "check_suite_node_id": node_id("CheckSuite", first.run_id),
        "url": url,
        "html_url": f"{base}/{repository.full_name}/actions/runs/{first.run_id}",
        "pull_requests": [],
        "created_at": timestamp(first.queued_at),
        "updated_at": timestamp(latest),
        "run_started_at": timestamp(first.queued_at),
        "jobs_url": f"{url}/jobs",
        "logs_url": f"{url}/logs",
        "check_suite_url": f"{base}{repository.path}/check-suites/{first.run_id}",
        "artifacts_url": f"{url}/artifacts",
        "cancel_url": f"{url}/cancel",
        "rerun_url": f"{url}/rerun",
        "workflow_url": workflow_url,
        "head_commit": {
            "id": first.sha,
            "tree_id": first.sha,
            "message": first.workflow,
            "timestamp": timestamp(first.queued_at),
            "author": {"name": "sandbox", "email": "sandbox@example.invalid"},
            "committer": {"name": "sandbox", "email": "sandbox@example.invalid"},
        },
        "repository": repository_document,
        "head_repository": repository_document,
    }


def head_branch(job: Job) -> str:
    """Return the branch that a job's event came from."""
    return job.head_ref or job.ref.removeprefix("refs/heads/")


def run_status(jobs: Sequence[Job]) -> str:
    """Return a run's status: in progress from its first job's start until its last one's end."""
    statuses = {job.status for job in jobs}
    if statuses == {"queued"}:
        return "queued"
    return "completed" if statuses == {"completed"} else "in_progress"


def run_conclusion(jobs: Sequence[Job]) -> str | None:
    """Return how a run ended: as badly as its worst job, None while one is unfinished."""
    conclusions = {job.conclusion for job in jobs}
    if None in conclusions:
        return None
    return next(c for c in ("failure", "cancelled", "success") if c in conclusions)


def _moments(job: Job) -> list[datetime]:
    moments = (job.queued_at, job.handed_out_at, job.started_at, job.completed_at)
    return [moment for moment in moments if moment]


def _steps(job: Job, shown: dict[str, str | None]) -> list[Document]:
    step = {"name": "Run", "status": job.status, "conclusion": job.conclusion, "number": 1}
    return [step | shown]
