"""The stand-in runner's own protocol, as `docs/sandbox-runner-protocol.md` tells it."""

from __future__ import annotations

import asyncio
import base64
import math

from aiohttp import web

from sandbox.github import jitconfig
from sandbox.github.model import Job, JobConclusion, Label, Scope
from sandbox.github.registrations import NameTakenError, RunnerBusyError, SessionRefusedError
from sandbox.github.rest.call import HUB, Handler, guest_origin
from sandbox.github.state import NotItsJobError, SessionOpenError

LONGEST_POLL_S = 60.0
_DEFAULT_POLL_S = 25.0
_CONCLUSIONS: dict[str, JobConclusion] = {"success": "success", "failure": "failure"}
_OWN_LABELS = ("self-hosted", "Linux", "X64")


def add(app: web.Application) -> None:
    """Serve the protocol."""
    route = app.router.add_route
    route("POST", "/_runner/registration", _refusing(register))
    route("DELETE", "/_runner/registration", _refusing(unregister))
    route("POST", "/_runner/session", _refusing(open_session))
    route("DELETE", "/_runner/session", _refusing(close_session))
    route("GET", "/_runner/job", _refusing(next_job))
    route("GET", r"/_runner/job/{job_id:\d+}/event", _refusing(job_event))
    route("POST", r"/_runner/job/{job_id:\d+}/started", _refusing(job_started))
    route("POST", r"/_runner/job/{job_id:\d+}/renew", _refusing(job_renewed))
    route("POST", r"/_runner/job/{job_id:\d+}/completed", _refusing(job_completed))


async def register(request: web.Request) -> web.Response:
    """Register a runner with a registration token, for `config.sh`."""
    hub = request.app[HUB]
    short = hub.credentials.short(_bearer(request), "registration", hub.clock())
    if short is None:
        return _refusal(401, "the registration token is unknown or has expired")
    fields = _fields(await request.text())
    name = fields.get("name", "")
    if not name or not name.isprintable():
        return _refusal(422, "a runner needs a name")
    if not _names(fields.get("url", ""), short.scope):
        return _refusal(404, f"the token is for {short.scope.name}, not for that address")
    custom = [label for label in fields.get("labels", "").split(",") if label.strip()]
    labels = tuple(Label(label) for label in _OWN_LABELS)
    labels += tuple(Label(label.strip(), "custom") for label in custom)
    with hub.change() as state:
        old = state.runner_named(short.scope, name)
        try:
            if old is not None and fields.get("replace") == "true":
                state.delete_runner(old.id)
            runner = state.register(
                short.scope,
                name,
                labels,
                hub.clock(),
                ephemeral=fields.get("ephemeral") == "true",
                work_folder=fields.get("work-folder", "_work"),
            )
        except (NameTakenError, RunnerBusyError):
            return _refusal(409, f"a runner named {name} exists")
    return web.Response(status=201, text=jitconfig.encode(runner, guest_origin(request)))


async def unregister(request: web.Request) -> web.Response:
    """Remove a runner with a removal token, for `config.sh remove`."""
    hub = request.app[HUB]
    short = hub.credentials.short(_bearer(request), "remove", hub.clock())
    if short is None:
        return _refusal(401, "the removal token is unknown or has expired")
    name = _fields(await request.text()).get("name", "")
    with hub.change() as state:
        runner = state.runner_named(short.scope, name)
        if runner is None:
            return _refusal(404, f"no runner named {name}")
        try:
            state.delete_runner(runner.id)
        except RunnerBusyError:
            return _refusal(422, f"{name} is running a job")
    hub.wake()
    return web.Response(status=204)


async def open_session(request: web.Request) -> web.Response:
    """Take a runner online."""
    hub = request.app[HUB]
    fields = _fields(await request.text())
    with hub.change() as state:
        state.open_session(
            _bearer(request),
            hub.clock(),
            session=fields.get("session"),
            os=fields.get("os", "linux"),
            version=fields.get("version"),
        )
    return web.Response(status=204)


async def close_session(request: web.Request) -> web.Response:
    """Take a runner offline."""
    hub = request.app[HUB]
    with hub.change() as state:
        state.close_session(_bearer(request), hub.clock())
    hub.wake()
    return web.Response(status=204)


async def next_job(request: web.Request) -> web.Response:
    """Wait for a job."""
    try:
        wait_s = float(request.query.get("wait", _DEFAULT_POLL_S))
    except ValueError:
        return _refusal(400, "wait is a number of seconds")
    if not math.isfinite(wait_s):
        return _refusal(400, "wait is a number of seconds")
    wait_s = min(max(wait_s, 0.0), LONGEST_POLL_S)
    job = await request.app[HUB].poll(_bearer(request), wait_s)
    if job is None:
        return web.Response(status=204)
    return web.Response(text=job_text(job))


async def job_started(request: web.Request) -> web.Response:
    """Note that a job has begun."""
    hub = request.app[HUB]
    with hub.change() as state:
        state.start_job(_bearer(request), int(request.match_info["job_id"]), hub.clock())
    return web.Response(status=204)


async def job_renewed(request: web.Request) -> web.Response:
    """Note that a job still runs."""
    _own_job(request)
    return web.Response(status=204)


async def job_event(request: web.Request) -> web.Response:
    """Return the payload of the event that a job came from, as it stands."""
    return web.Response(text=_own_job(request).payload, content_type="application/json")


def _own_job(request: web.Request) -> Job:
    hub = request.app[HUB]
    job_id = int(request.match_info["job_id"])
    with hub.view() as state:
        runner = state.in_session(_bearer(request), hub.clock())
        job = state.job(job_id)
    if job is None or runner.job_id != job_id:
        raise NotItsJobError("that job is another runner's")
    return job


async def job_completed(request: web.Request) -> web.Response:
    """Note a job's end and its log."""
    hub = request.app[HUB]
    lines = (await request.read()).decode(errors="replace").splitlines()
    conclusion = _CONCLUSIONS.get(lines[0].removeprefix("result=")) if lines else None
    if conclusion is None or not lines[0].startswith("result="):
        return _refusal(400, "the first line must be result=success or result=failure")
    log = "".join(f"{line[4:]}\n" for line in lines[1:] if line.startswith("log="))
    job_id = int(request.match_info["job_id"])
    with hub.change() as state:
        state.complete_job(_bearer(request), job_id, conclusion, log, hub.clock())
    return web.Response(status=204)


def job_text(job: Job) -> str:
    """Return a job as the runner reads it: fields, an empty line, the script."""
    fields = {
        "id": job.id,
        "run-id": job.run_id,
        "repository": job.repository,
        "workflow": job.workflow,
        "job": job.name,
        "event": job.event,
        "sha": job.sha,
        "ref": job.ref,
        "head-ref": job.head_ref,
        "base-ref": job.base_ref,
        "actor": job.actor,
        "always": base64.b64encode(job.always.encode()).decode(),
    }
    return "".join(f"{key}={value}\n" for key, value in fields.items()) + "\n" + job.script


def _refusing(handler: Handler) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except SessionOpenError:
            return _refusal(409, "a session for this runner is open")
        except SessionRefusedError as error:
            return _refusal(401, str(error))
        except NotItsJobError as error:
            return _refusal(404, str(error))

    return answer


def _refusal(status: int, why: str) -> web.Response:
    return web.Response(status=status, text=f"{why}\n")


def _bearer(request: web.Request) -> str:
    return request.headers.get("Authorization", "").removeprefix("Bearer ").strip()


def _fields(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {key: value for key, _, value in pairs}


def _names(url: str, scope: Scope) -> bool:
    return url.rstrip("/").casefold().endswith(f"/{scope.name.casefold()}")


async def sweep(app: web.Application) -> None:
    """Take silent runners offline, for as long as the server runs."""
    hub = app[HUB]
    interval = min(1.0, hub.offline_after.total_seconds() / 4)
    while True:
        await asyncio.sleep(interval)
        hub.expire()
