"""Workflow runs and their jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from sandbox.github.documents import job_document, run_conclusion, run_document, run_status
from sandbox.github.errors import ApiError
from sandbox.github.rest.call import (
    HUB,
    REPOSITORY_PATHS,
    add_routes,
    api_base,
    choice_in,
    listing,
    number_in,
    scope_of,
)

if TYPE_CHECKING:
    from sandbox.github.model import Job, Scope
    from sandbox.github.state import State

_RUNS = "/actions/runs"
_RUN = _RUNS + "/{run_id}"


def add(app: web.Application) -> None:
    """Serve this chapter."""
    add_routes(app, "GET", REPOSITORY_PATHS, _RUNS, list_runs)
    add_routes(app, "GET", REPOSITORY_PATHS, _RUN, get_run)
    add_routes(app, "GET", REPOSITORY_PATHS, _RUN + "/jobs", list_run_jobs)
    add_routes(app, "POST", REPOSITORY_PATHS, _RUN + "/cancel", cancel_run)
    add_routes(app, "GET", REPOSITORY_PATHS, "/actions/jobs/{job_id}", get_job)


async def list_runs(request: web.Request) -> web.Response:
    """List a repository's runs, the newest first; `status` and `event` narrow it down."""
    status, event = request.query.get("status"), request.query.get("event")
    with request.app[HUB].view() as state:
        repository = scope_of(request, state)
        profile = state.repositories.profile(repository)
        runs: dict[int, list[Job]] = {}
        for job in _jobs_of(state, repository):
            runs.setdefault(job.run_id, []).append(job)
    kept = [
        jobs
        for jobs in reversed(runs.values())
        if (not status or status in (run_status(jobs), run_conclusion(jobs)))
        and (not event or event == jobs[0].event)
    ]
    base = api_base(request)
    return listing(
        request,
        "workflow_runs",
        kept,
        repository.path_by_id + _RUNS,
        lambda jobs: run_document(jobs, profile, base),
    )


async def get_run(request: web.Request) -> web.Response:
    """Return one run."""
    with request.app[HUB].view() as state:
        repository = scope_of(request, state)
        jobs = _run_of(request, state, repository)
        profile = state.repositories.profile(repository)
    return web.json_response(run_document(jobs, profile, api_base(request)))


async def list_run_jobs(request: web.Request) -> web.Response:
    """List a run's jobs; each run has one attempt, so `filter` changes nothing."""
    choice_in(request, "filter", ("latest", "all"), "latest")
    base = api_base(request)
    with request.app[HUB].view() as state:
        repository = scope_of(request, state)
        jobs = _run_of(request, state, repository)
    return listing(
        request,
        "jobs",
        jobs,
        f"{repository.path_by_id}{_RUNS}/{jobs[0].run_id}/jobs",
        lambda job: job_document(job, base),
    )


async def cancel_run(request: web.Request) -> web.Response:
    """Cancel those of a run's jobs that wait for a runner."""
    hub = request.app[HUB]
    with hub.change() as state:
        jobs = _run_of(request, state, scope_of(request, state))
        if run_status(jobs) == "completed":
            raise ApiError(409, "Cannot cancel a workflow run that is completed.")
        for job in jobs:
            state.cancel_job(job.id, hub.clock())
    return web.json_response({}, status=202)


async def get_job(request: web.Request) -> web.Response:
    """Return one job."""
    with request.app[HUB].view() as state:
        repository = scope_of(request, state)
        job = state.job(number_in(request, "job_id"))
        if job is None or job.repository.casefold() != repository.name.casefold():
            raise ApiError.not_found()
        return web.json_response(job_document(job, api_base(request)))


def _jobs_of(state: State, repository: Scope) -> list[Job]:
    name = repository.name.casefold()
    return [job for job in state.jobs() if job.repository.casefold() == name]


def _run_of(request: web.Request, state: State, repository: Scope) -> list[Job]:
    run_id = number_in(request, "run_id")
    jobs = [job for job in _jobs_of(state, repository) if job.run_id == run_id]
    if not jobs:
        raise ApiError.not_found()
    return jobs
