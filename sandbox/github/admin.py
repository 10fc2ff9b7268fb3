"""The sandbox's own API, for demos and other processes: queue jobs, see their fate, order faults.

Every call needs one of the sandbox's tokens that may write.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from sandbox.github import repository_admin
from sandbox.github.errors import ApiError
from sandbox.github.faults import Fault
from sandbox.github.middleware import error_answer
from sandbox.github.model import Job, JobRequest, Runner
from sandbox.github.rest.call import FAULTS, HUB, OFFER, Handler, body_of


def add(app: web.Application) -> None:
    """Serve the sandbox's own API."""
    route = app.router.add_route
    route("GET", "/_sandbox/jobs", _for_operators(list_jobs))
    route("POST", "/_sandbox/jobs", _for_operators(queue_job))
    route("GET", "/_sandbox/runners", _for_operators(list_runners))
    for method, path, handler in repository_admin.ROUTES:
        route(method, path, _for_operators(handler))
    route("POST", "/_sandbox/faults", _for_operators(add_fault))
    route("DELETE", "/_sandbox/faults", _for_operators(clear_faults))
    route("POST", "/_sandbox/releases", _for_operators(publish))


async def list_jobs(request: web.Request) -> web.Response:
    """List all jobs with their fate."""
    with request.app[HUB].view() as state:
        jobs = list(state.jobs())
    return web.json_response({"jobs": [job_document(job) for job in jobs]})


async def queue_job(request: web.Request) -> web.Response:
    """Queue a job; the body holds the fields of a `JobRequest`, the payload also as JSON."""
    body = await body_of(request)
    payload = body.get("payload")
    if payload is not None and not isinstance(payload, str):
        body["payload"] = json.dumps(payload)
    try:
        wanted = JobRequest(**{**body, "labels": tuple(body.get("labels", ("self-hosted",)))})
        job = request.app[HUB].queue(wanted)
    except (TypeError, ValueError) as error:
        raise ApiError.unprocessable(f"No job: {error}") from error
    return web.json_response(job_document(job), status=201)


async def list_runners(request: web.Request) -> web.Response:
    """List all runners of all scopes."""
    with request.app[HUB].view() as state:
        runners = list(state.runners())
    return web.json_response({"runners": [_runner_document(runner) for runner in runners]})


async def add_fault(request: web.Request) -> web.Response:
    """Order a fault; the body holds the fields of a `Fault`."""
    try:
        request.app[FAULTS].add(Fault(**await body_of(request)))
    except (TypeError, ValueError) as error:
        raise ApiError.unprocessable(f"No fault: {error}") from error
    return web.Response(status=204)


async def clear_faults(request: web.Request) -> web.Response:
    """Lift all faults."""
    request.app[FAULTS].clear()
    return web.Response(status=204)


async def publish(request: web.Request) -> web.Response:
    """Publish a release; the body holds the path of its `tarball` here, and perhaps a `sha256`."""
    body = await body_of(request)
    try:
        release = request.app[OFFER].releases.publish(Path(body["tarball"]), body.get("sha256"))
    except (LookupError, TypeError, ValueError, OSError) as error:
        raise ApiError.unprocessable(f"No release: {error}") from error
    document = {"version": release.version, "architecture": release.architecture}
    return web.json_response({**document, "sha256": release.sha256}, status=201)


def job_document(job: Job) -> dict[str, Any]:
    """Return all there is to know of a job but its event's payload, which can be large."""
    shown = asdict(job)
    del shown["payload"]
    return {name: _plain(value) for name, value in shown.items()}


def _runner_document(runner: Runner) -> dict[str, Any]:
    shown = {
        "id": runner.id,
        "name": runner.name,
        "scope": runner.scope.name,
        "labels": [label.name for label in runner.labels],
        "status": runner.status,
        "busy": runner.busy,
        "ephemeral": runner.ephemeral,
        "job_id": runner.job_id,
        "created_at": runner.created_at,
        "heard_at": runner.heard_at,
    }
    return {name: _plain(value) for name, value in shown.items()}


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value


def _for_operators(handler: Handler) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        hub = request.app[HUB]
        try:
            grant = hub.credentials.grant(request.headers.get("Authorization"), hub.clock())
            if grant is None:
                raise ApiError.requires_authentication()
            if grant.access != "write":
                raise ApiError.not_accessible("personal access token")
            return await handler(request)
        except ApiError as error:
            return error_answer(error)

    return answer
