"""LXD's envelopes around what it answers, and how it reads what it is sent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aiohttp import web

from sandbox.lxd_emulator.errors import LxdError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.lxd_emulator.operations import Operation


def sync(
    metadata: Any,
    *,
    etag: str | None = None,
    status: int = 200,
    location: str | None = None,
) -> web.Response:
    """Answer with something that is there, or was done at once.

    Args:
        metadata: What is answered; None for nothing at all, `{}` for LXD's empty object.
        etag: Of what is answered.
        status: HTTP's; 201 for something new.
        location: Where something new is.
    """
    headers = {}
    if etag is not None:
        headers["Etag"] = f'"{etag}"'
    if location is not None:
        headers["Location"] = location
    body = {
        "type": "sync",
        "status": "Success",
        "status_code": 200,
        "operation": "",
        "error_code": 0,
        "error": "",
        "metadata": metadata,
    }
    return _json(body, status, headers)


def created(location: str) -> web.Response:
    """Answer that something was made."""
    return sync(None, status=201, location=location)


def background(operation: Operation) -> web.Response:
    """Answer with an operation that has begun."""
    body = {
        "type": "async",
        "status": "Operation created",
        "status_code": 100,
        "operation": operation.url,
        "error_code": 0,
        "error": "",
        "metadata": operation.document(),
    }
    return _json(body, 202, {"Location": operation.url})


def refusal(error: LxdError) -> web.Response:
    """Answer with an error."""
    body = {
        "type": "error",
        "status": "",
        "status_code": 0,
        "operation": "",
        "error_code": error.status,
        "error": error.text,
        "metadata": None,
    }
    return _json(body, error.status, {"X-Content-Type-Options": "nosniff"})


async def body_of(request: web.Request) -> dict[str, Any]:
    """Read a request's JSON object.

    Raises:
        LxdError: It is something else.
    """
    text = await request.text()
    if not text:
        raise LxdError(400, "EOF")
    try:
        body = json.loads(text)
    except ValueError as error:
        raise LxdError(400, f"invalid JSON: {error}") from error
    if not isinstance(body, dict):
        kind = "array" if isinstance(body, list) else type(body).__name__
        raise LxdError(400, f"json: cannot unmarshal {kind} into Go value")
    return body


def _json(body: Mapping[str, Any], status: int, headers: Mapping[str, str]) -> web.Response:
    return web.Response(
        body=json.dumps(body).encode() + b"\n",
        status=status,
        content_type="application/json",
        headers=headers,
    )
