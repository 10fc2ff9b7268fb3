"""How a runner comes to be: registration tokens, just-in-time configurations, the application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from sandbox.github import jitconfig
from sandbox.github.documents import runner_document
from sandbox.github.errors import ApiError
from sandbox.github.model import Label
from sandbox.github.registrations import NameTakenError
from sandbox.github.releases import PLACE
from sandbox.github.rest.call import (
    HUB,
    OFFER,
    SCOPE_PATHS,
    add_routes,
    body_of,
    guest_origin,
    label_names_in,
    scope_of,
)

if TYPE_CHECKING:
    from sandbox.github.credentials import Purpose

_LONGEST_NAME = 64
_NO_VERSION = "0.0.0"
_SYSTEMS = (("osx", "x64"), ("osx", "arm64"), ("linux", "x64"), ("linux", "arm64"), ("win", "x64"))


def add(app: web.Application) -> None:
    """Serve this chapter. It goes before the runners': `downloads` is no runner's number."""
    runners = "/actions/runners"
    add_routes(app, "POST", SCOPE_PATHS, runners + "/registration-token", registration_token)
    add_routes(app, "POST", SCOPE_PATHS, runners + "/remove-token", remove_token)
    add_routes(app, "POST", SCOPE_PATHS, runners + "/generate-jitconfig", generate_jitconfig)
    add_routes(app, "GET", SCOPE_PATHS, runners + "/downloads", downloads)
    add_routes(app, "GET", SCOPE_PATHS, runners + "/deprecations/{version}", deprecation)


async def registration_token(request: web.Request) -> web.Response:
    """Make a token with which `config.sh` registers runners for an hour."""
    return _short_token(request, "registration")


async def remove_token(request: web.Request) -> web.Response:
    """Make a token with which `config.sh remove` removes runners for an hour."""
    return _short_token(request, "remove")


async def generate_jitconfig(request: web.Request) -> web.Response:
    """Register a runner for one job and return its configuration."""
    body = await body_of(request)
    hub = request.app[HUB]
    name = _name_in(body)
    group_id = _group_in(body)
    # As recorded: a just-in-time runner has the labels asked for, and none of its own.
    labels = tuple(Label(label) for label in label_names_in(body, at_least=1))
    work_folder = body.get("work_folder", "_work")
    if not isinstance(work_folder, str) or not work_folder:
        raise ApiError.unprocessable("Invalid input: work_folder must be a string")
    with hub.change() as state:
        scope = scope_of(request, state)
        group = state.directory.group(scope, group_id)
        if group is None:
            raise ApiError.not_found()
        if group.hosted:
            raise ApiError.hosted_group()
        if group.inherited_from is not None:
            raise ApiError.inherited_group()
        try:
            runner = state.register(
                scope, name, labels, hub.clock(), group_id=group_id, work_folder=work_folder
            )
        except NameTakenError as error:
            raise ApiError(
                409, f"Already exists - A runner with the name {name} already exists."
            ) from error
    return web.json_response(
        {
            "runner": runner_document(runner),
            "encoded_jit_config": jitconfig.encode(runner, guest_origin(request)),
        },
        status=201,
    )


async def downloads(request: web.Request) -> web.Response:
    """List the runner application for each system; the sandbox has tarballs for Linux only."""
    releases = request.app[OFFER].releases
    newest = releases.offered("x64") or releases.offered("arm64")
    version = newest.version if newest else _NO_VERSION
    with request.app[HUB].view() as state:
        scope_of(request, state)
    applications = []
    for system, architecture in _SYSTEMS:
        release = releases.offered(architecture) if system == "linux" else None
        if release is None and (system, architecture) == ("linux", "x64"):
            continue  # a runner that comes for it is told so, not sent in vain
        ending = "zip" if system == "win" else "tar.gz"
        filename = f"actions-runner-{system}-{architecture}-{version}.{ending}"
        path = release.path if release else f"{PLACE}/v{version}/{filename}"
        application = {
            "os": system,
            "architecture": architecture,
            "filename": release.filename if release else filename,
            "download_url": guest_origin(request) + path,
        }
        if release and release.sha256:
            application["sha256_checksum"] = release.sha256
        applications.append(application)
    return web.json_response(applications)


async def deprecation(request: web.Request) -> web.Response:
    """Return when a version of the application is retired: in the sandbox never."""
    with request.app[HUB].view() as state:
        scope_of(request, state)
    return web.json_response(
        {
            "runner_version": request.match_info["version"],
            "registration_deprecates_at": None,
            "runtime_deprecates_at": None,
        }
    )


def _short_token(request: web.Request, purpose: Purpose) -> web.Response:
    hub = request.app[HUB]
    with hub.view() as state:
        short = hub.credentials.new_short(purpose, scope_of(request, state), hub.clock())
    # As recorded: an offset and milliseconds, unlike GitHub's other times.
    expires_at = short.expires_at.isoformat(timespec="milliseconds")
    return web.json_response({"token": short.token, "expires_at": expires_at}, status=201)


def _name_in(body: dict[str, Any]) -> str:
    name = body.get("name")
    if name is None:
        raise ApiError.unprocessable("Invalid input: object is missing required key: name")
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise ApiError.unprocessable("Invalid input: name must be a string that is not empty")
    if len(name) > _LONGEST_NAME:
        raise ApiError.unprocessable(f"Runner name can't be longer than {_LONGEST_NAME} characters")
    return name


def _group_in(body: dict[str, Any]) -> int:
    group_id = body.get("runner_group_id")
    if group_id is None:
        raise ApiError.unprocessable(
            "Invalid input: object is missing required key: runner_group_id"
        )
    if isinstance(group_id, bool) or not isinstance(group_id, int):
        raise ApiError.unprocessable("Invalid input: runner_group_id must be an integer")
    return group_id
