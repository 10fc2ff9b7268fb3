"""Organisations, repositories, the rate limit, and tokens of installed apps."""

from __future__ import annotations

from aiohttp import web

from sandbox.github.budget import CORE
from sandbox.github.documents import timestamp
from sandbox.github.errors import ApiError
from sandbox.github.profiles import full_repository, organization
from sandbox.github.rest.call import (
    HUB,
    ORGANIZATION_PATHS,
    REPOSITORY_PATHS,
    add_routes,
    api_base,
    body_of,
    grant_of,
    number_in,
    scope_of,
)


def add(app: web.Application) -> None:
    """Serve this chapter."""
    add_routes(app, "GET", ORGANIZATION_PATHS, "", get_organization)
    add_routes(app, "GET", REPOSITORY_PATHS, "", get_repository)
    add_routes(app, "GET", ("/rate_limit",), "", get_rate_limit)
    path = "/app/installations/{installation_id}/access_tokens"
    add_routes(app, "POST", (path,), "", create_installation_token)


async def get_organization(request: web.Request) -> web.Response:
    """Return an organisation."""
    with request.app[HUB].view() as state:
        scope = scope_of(request, state)
    return web.json_response(organization(scope, api_base(request)))


async def get_repository(request: web.Request) -> web.Response:
    """Return a repository."""
    with request.app[HUB].view() as state:
        profile = state.repositories.profile(scope_of(request, state))
    return web.json_response(full_repository(profile, api_base(request)))


async def get_rate_limit(request: web.Request) -> web.Response:
    """Return the budgets of the request's token; asking costs nothing."""
    now = request.app[HUB].clock()
    buckets = grant_of(request).budget.buckets
    if not buckets:
        raise ApiError(404, "Rate limiting is not enabled.")
    resources = {name: bucket.document(now) for name, bucket in buckets.items()}
    return web.json_response({"resources": resources, "rate": resources[CORE]})


async def create_installation_token(request: web.Request) -> web.Response:
    """Exchange an app's JWT for a token of its installation."""
    hub = request.app[HUB]
    body = await body_of(request) if await request.read() else {}
    wanted = body.get("permissions", {})
    if not isinstance(wanted, dict):
        raise ApiError.unprocessable("Invalid input: permissions must be an object")
    token, grant = hub.credentials.installation_token(
        request.headers.get("Authorization"),
        number_in(request, "installation_id"),
        hub.clock(),
        wanted,
    )
    if grant.expires_at is None:
        raise ApiError(500, "an installation's token always expires")
    return web.json_response(
        {
            "token": token,
            "expires_at": timestamp(grant.expires_at),
            "permissions": dict(grant.permissions),
            "repository_selection": "all",
        },
        status=201,
    )
