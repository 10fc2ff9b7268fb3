"""What happens to every request: faults, authentication, the budget, conditional requests."""

from __future__ import annotations

import asyncio
import hashlib
from email.utils import format_datetime
from typing import TYPE_CHECKING

from aiohttp import web

from sandbox.github.budget import Bucket, Budget, resource_of
from sandbox.github.credentials import Access, Grant
from sandbox.github.errors import ApiError
from sandbox.github.rest.call import FAULTS, GRANT, HUB, PREFIXES, Handler

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.github.faults import Fault

API_VERSION = "2022-11-28"
_ANONYMOUS_LIMIT = 60
_OWN_PLACES = ("/_runner/", "/_sandbox/", "/actions/runner/releases/")

ANONYMOUS = web.AppKey("anonymous", Grant)


def anonymous() -> Grant:
    """Return what a request without a token gets: a small budget and no access."""
    return Grant("none", Budget(_ANONYMOUS_LIMIT))


@web.middleware
async def tell_time(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let every answer bear the sandbox's own time, which may not be the machine's."""
    answer = await handler(request)
    answer.headers["Date"] = format_datetime(request.app[HUB].clock(), usegmt=True)
    return answer


@web.middleware
async def misbehave(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let the ordered faults strike."""
    fault = request.app[FAULTS].strike(request.method, request.path)
    if fault is None:
        return await handler(request)
    if fault.after_processing:
        answer: web.StreamResponse | None = await _settled(request, handler)
        await asyncio.sleep(fault.delay_s)
    else:
        await asyncio.sleep(fault.delay_s)
        only_delayed = fault.status is None and not fault.drop_connection
        answer = await handler(request) if only_delayed else None
    if fault.drop_connection:
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=500)
    if fault.status is not None or answer is None:
        return _fault_answer(fault)
    return answer


@web.middleware
async def speak_github(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Authenticate, count, answer errors and conditional requests as GitHub's REST API does."""
    if request.path.startswith(_OWN_PLACES):
        return await handler(request)
    hub = request.app[HUB]
    path = _api_path(request.path)
    now = hub.clock()
    resource = resource_of(path)
    grant = request.app[ANONYMOUS]
    bucket: Bucket | None = None
    answer: web.StreamResponse
    try:
        if not path.startswith("/app/"):
            grant = hub.credentials.grant(request.headers.get("Authorization"), now) or grant
        bucket = grant.budget.buckets[resource]
        if path != "/rate_limit" and not bucket.spend(now):
            raise ApiError.rate_limited({})
        _authorize(grant, request, path)
        request[GRANT] = grant
        answer = await handler(request)
        if _unchanged(request, answer):
            bucket.refund()
            answer = web.Response(status=304, headers={"ETag": answer.headers["ETag"]})
    except ApiError as error:
        answer = error_answer(error)
    except web.HTTPMethodNotAllowed:
        answer = error_answer(ApiError.not_found())
    except web.HTTPNotFound:
        answer = error_answer(ApiError.not_found())
    answer.headers.update((bucket or grant.budget.buckets[resource]).headers(resource, now))
    answer.headers["x-github-api-version-selected"] = API_VERSION
    answer.headers["x-github-media-type"] = "github.v3; format=json"
    return answer


def error_answer(error: ApiError) -> web.Response:
    """Return an error as GitHub words it."""
    return web.json_response(error.document(), status=error.status, headers=error.headers)


def _authorize(grant: Grant, request: web.Request, path: str) -> None:
    if path == "/rate_limit" or path.startswith("/app/"):
        return
    if grant is request.app[ANONYMOUS]:
        raise ApiError.requires_authentication()
    needed: Access = "read" if request.method in ("GET", "HEAD") else "write"
    if "/actions/" not in path or grant.access in {"write", needed}:
        return
    raise ApiError.not_accessible(grant.kind)


def _unchanged(request: web.Request, answer: web.StreamResponse) -> bool:
    """Give an answer its ETag, and tell whether the client has it already."""
    ok = 200
    if request.method != "GET" or answer.status != ok or not isinstance(answer, web.Response):
        return False
    body = answer.body if isinstance(answer.body, bytes) else b""
    # The links are part of what the client keeps, so they are part of the tag.
    material = body + answer.headers.get("Link", "").encode()
    answer.headers["ETag"] = f'W/"{hashlib.sha256(material).hexdigest()}"'
    answer.headers["Cache-Control"] = "private, max-age=60, s-maxage=60"
    asked = request.headers.get("If-None-Match", "")
    known = {tag.strip().removeprefix("W/") for tag in asked.split(",")}
    return answer.headers["ETag"].removeprefix("W/") in known


def _api_path(path: str) -> str:
    for prefix in PREFIXES:
        if prefix and path.startswith(f"{prefix}/"):
            return path[len(prefix) :]
    return path


async def _settled(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        return web.Response(status=error.status)


def _fault_answer(fault: Fault) -> web.Response:
    status = fault.status or 500
    headers: Mapping[str, str] = fault.headers
    if fault.body is not None:
        return web.Response(
            status=status, text=fault.body, content_type="text/html", headers=headers
        )
    return error_answer(ApiError(status, fault.message, headers=headers))
