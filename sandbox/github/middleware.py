"""What happens to every request: faults, authentication, the budget, conditional requests."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from datetime import datetime, timezone
from email.utils import format_datetime
from typing import TYPE_CHECKING

from aiohttp import web

from sandbox.github.budget import Bucket, Limits, resource_of
from sandbox.github.calls import Call
from sandbox.github.credentials import Grant
from sandbox.github.errors import ApiError
from sandbox.github.faults import Fault
from sandbox.github.permissions import need_of
from sandbox.github.rest.call import CALLS, FAULTS, GRANT, HUB, PREFIXES, Handler, scope_of

if TYPE_CHECKING:
    from collections.abc import Mapping

API_VERSION = "2022-11-28"
_ANONYMOUS_LIMIT = 60
_OWN_PLACES = ("/_runner/", "/_sandbox/", "/actions/runner/releases/")
_PIECES = 20
_HELD_PAUSE_S = 0.02

ANONYMOUS = web.AppKey("anonymous", Grant)
APPS = web.AppKey("apps", Grant)
_STRUCK = web.RequestKey("struck", Fault)


def anonymous(limits: Limits) -> Grant:
    """Return what a request without a token gets: a small budget and no access."""
    hourly = None if limits.hourly is None else _ANONYMOUS_LIMIT
    return Grant("none", Limits(hourly, limits.per_minute).budget())


async def set_date(request: web.Request, answer: web.StreamResponse) -> None:
    """Date every answer by the server's own clock."""
    now = request.app[HUB].clock().astimezone(timezone.utc)
    answer.headers["Date"] = format_datetime(now, usegmt=True)


@web.middleware
async def deliver(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Send the answer; if a fault wants so, drop by drop, only in part, or with a wrong byte."""
    answer = await handler(request)
    fault = request.get(_STRUCK)
    body = answer.body if isinstance(answer, web.Response) else None
    if fault is None or not fault.spoils_the_body or not isinstance(body, bytes):
        return answer
    stream = web.StreamResponse(status=answer.status, headers=answer.headers)
    stream.content_length = len(body)
    await stream.prepare(request)
    middle = len(body) // 2
    if fault.wrong_bytes and body:
        body = b"%b%c%b" % (body[:middle], body[middle] ^ 0xFF, body[middle + 1 :])
    sent = body[:middle] if fault.truncated else body
    lasts_s = max(fault.drip_s, len(sent) / fault.bytes_per_s if fault.bytes_per_s else 0)
    size = max(1, len(sent) // max(_PIECES, int(lasts_s * _PIECES)))
    pieces = [sent[start : start + size] for start in range(0, len(sent), size)]
    for piece in pieces:
        await asyncio.sleep(lasts_s / len(pieces))
        await stream.write(piece)
    if fault.truncated and request.transport is not None:
        request.transport.close()
    return stream


@web.middleware
async def record(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Keep a record of the REST calls, answered or not."""
    if request.path.startswith(_OWN_PLACES):
        return await handler(request)
    path = _api_path(request.path)
    at = request.app[HUB].clock()
    status: int | None = None
    try:
        answer = await handler(request)
        fault = request.get(_STRUCK)
        status = None if fault is not None and fault.drop_connection else answer.status
    finally:
        request.app[CALLS].note(
            Call(
                method=request.method,
                path=path,
                query=request.query_string,
                status=status,
                at=at,
                conditional="If-None-Match" in request.headers,
                resource=resource_of(path),
            )
        )
    return answer


@web.middleware
async def misbehave(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let the ordered faults strike."""
    faults = request.app[FAULTS]
    fault = faults.strike(request.method, request.path)
    if fault is None:
        return await handler(request)
    request[_STRUCK] = fault
    answer: web.StreamResponse | None = None
    if fault.after_processing:
        answer = await _settled(request, handler)
    await asyncio.sleep(fault.delay_s)
    while fault.held and faults.is_in_force(fault):  # noqa: ASYNC110 - any thread may lift it
        await asyncio.sleep(_HELD_PAUSE_S)
    if not fault.after_processing and not fault.replaces_the_answer:
        answer = await handler(request)
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
    is_app = path.startswith("/app/")
    grant = request.app[APPS if is_app else ANONYMOUS]
    answer: web.StreamResponse
    try:
        if not is_app:
            grant = hub.credentials.grant(request.headers.get("Authorization"), now) or grant
        request[GRANT] = grant
        answer = await _admitted(request, handler, path, now)
    except ApiError as error:
        answer = error_answer(error)
    except (web.HTTPMethodNotAllowed, web.HTTPNotFound):
        answer = error_answer(ApiError.not_found())
    resource = resource_of(path)
    bucket = grant.budget.buckets.get(resource)
    if bucket is not None:
        answer.headers.update(bucket.headers(resource, now))
    if not _is_nobody(request, grant):
        answer.headers.update(grant.headers(need_of(request.method, path)))
    answer.headers["x-github-api-version-selected"] = API_VERSION
    answer.headers["x-github-media-type"] = "github.v3; format=json"
    answer.headers["x-github-request-id"] = secrets.token_hex(8).upper()
    return answer


async def _admitted(
    request: web.Request, handler: Handler, path: str, now: datetime
) -> web.StreamResponse:
    """Count a request and answer it, if its token may ask that and has budget left."""
    grant = request[GRANT]
    bucket = _spend(grant, request.method, path, now)
    if not _is_nobody(request, grant):
        grant.check(need_of(request.method, path), private=_is_private(request))
    elif not path.startswith("/app/") and path != "/rate_limit":
        raise ApiError.requires_authentication()
    answer = await handler(request)
    if not _unchanged(request, answer):
        return answer
    if bucket is not None:
        bucket.refund()
    return web.Response(status=304, headers={"ETag": answer.headers["ETag"]})


def _is_private(request: web.Request) -> bool | None:
    """Tell whether the repository that is asked for is private; None where none is."""
    if not {"owner", "repository_id"} & request.match_info.keys():
        return None
    with request.app[HUB].view() as state:
        scope = scope_of(request, state)
        return state.repositories.of(scope.name).private


def _is_nobody(request: web.Request, grant: Grant) -> bool:
    """Tell whether a request came without a token (an app's JWT is none)."""
    return grant is request.app[ANONYMOUS] or grant is request.app[APPS]


def _spend(grant: Grant, method: str, path: str, now: datetime) -> Bucket | None:
    """Count a request, and return the bucket in which it is counted."""
    wait_s = grant.budget.points.spend(method, now) if grant.budget.points else None
    if wait_s is not None:
        raise ApiError.secondary_limited(wait_s)
    bucket = grant.budget.buckets.get(resource_of(path))
    if bucket is not None and path != "/rate_limit" and not bucket.spend(now):
        raise ApiError.rate_limited({})
    return bucket


def error_answer(error: ApiError) -> web.Response:
    """Return an error as GitHub words it."""
    return web.json_response(error.document(), status=error.status, headers=error.headers)


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
