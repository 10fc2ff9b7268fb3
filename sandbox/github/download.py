"""The runner application's tarballs: whole or in part."""

from __future__ import annotations

from aiohttp import web

from sandbox.github.calls import Call
from sandbox.github.releases import PLACE
from sandbox.github.rest.call import DOWNLOADS, HUB, OFFER


def add(app: web.Application) -> None:
    """Serve the tarballs of all releases."""
    app.router.add_get(f"{PLACE}/{{tag}}/{{filename}}", download)
    app.on_response_prepare.append(_note)


async def download(request: web.Request) -> web.StreamResponse:
    """Send a release's tarball; `Range` and `If-Range` are understood, as by GitHub's."""
    release = request.app[OFFER].releases.at(request.path)
    if release is None:
        raise web.HTTPNotFound
    state = release.tarball.stat()
    # Not as a FileResponse: that knows no ETag in `If-Range`, and no fault could spoil it.
    body = release.tarball.read_bytes()
    tag = f'"{state.st_mtime_ns:x}-{state.st_size:x}"'
    headers = {"Content-Type": "application/octet-stream", "ETag": tag, "Accept-Ranges": "bytes"}
    start = request.http_range.start
    if not start or start >= len(body) or request.headers.get("If-Range", tag) != tag:
        return web.Response(body=body, headers=headers)
    headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
    return web.Response(status=206, body=body[start:], headers=headers)


async def _note(request: web.Request, answer: web.StreamResponse) -> None:
    """Keep a record of who has come for a tarball."""
    if not request.path.startswith(f"{PLACE}/"):
        return
    request.app[DOWNLOADS].note(
        Call(
            method=request.method,
            path=request.path,
            query=request.query_string,
            status=answer.status,
            at=request.app[HUB].clock(),
            conditional="If-None-Match" in request.headers,
            resource="",
        )
    )
