"""`/1.0/images` and their aliases: handlers."""

from __future__ import annotations

import asyncio
import hashlib
import tarfile
import tempfile
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import partial
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import yaml
from aiohttp import BodyPartReader, web

from sandbox.lxd_emulator import documents
from sandbox.lxd_emulator.answers import background, body_of, created, sync
from sandbox.lxd_emulator.clock import now
from sandbox.lxd_emulator.config_keys import CONTAINER, VIRTUAL_MACHINE
from sandbox.lxd_emulator.context import CONTEXT, project_of, recursion_of
from sandbox.lxd_emulator.errors import LxdError, not_found
from sandbox.lxd_emulator.model import Alias, Image
from sandbox.lxd_emulator.state import address_in, check_match, etag, strings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox.lxd_emulator.operations import Operation

_CHUNK = 256 * 1024
_IN_MEMORY = 4 * 1024 * 1024
_MAGIC = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd", b"]\x00\x00", b"hsqs")
_TAR = slice(257, 262)
_HEAD = 263
# What stands in for an image where there is none to be had, as for the emulator alone.
_PLACEHOLDER = b"emulated"


def add(app: web.Application) -> None:
    """Serve images."""
    route = app.router.add_route
    route("GET", "/1.0/images", listing)
    route("POST", "/1.0/images", upload)
    route("GET", "/1.0/images/aliases", list_aliases)
    route("POST", "/1.0/images/aliases", make_alias)
    route("GET", "/1.0/images/aliases/{alias:.+}", show_alias)
    route("PUT", "/1.0/images/aliases/{alias:.+}", change_alias)
    route("PATCH", "/1.0/images/aliases/{alias:.+}", change_alias)
    route("DELETE", "/1.0/images/aliases/{alias:.+}", delete_alias)
    route("GET", "/1.0/images/{fingerprint}", show)
    route("PUT", "/1.0/images/{fingerprint}", change)
    route("PATCH", "/1.0/images/{fingerprint}", change)
    route("DELETE", "/1.0/images/{fingerprint}", delete)


async def listing(request: web.Request) -> web.Response:
    """List images."""
    project, state = _project(request), request.app[CONTEXT].state
    found = [image for image in state.images.values() if image.project == project]
    if recursion_of(request):
        return sync([documents.image(state, image) for image in found])
    return sync([f"/1.0/images/{image.fingerprint}" for image in found])


async def upload(request: web.Request) -> web.Response:
    """Take an image in, as one tarball or as metadata and root file system."""
    project = _project(request)
    if request.content_type == "application/json":
        raise LxdError(501, "not implemented")
    received = await _receive(request)
    context = request.app[CONTEXT]

    async def keep(operation: Operation) -> Callable[[], None] | None:
        if not received.readable:
            raise LxdError(400, "Unsupported compression")
        metadata = {"fingerprint": received.fingerprint, "size": str(received.size)}
        context.operations.progress(operation, metadata)
        if (project, received.fingerprint) in context.state.images:
            raise LxdError(400, "Image with same fingerprint already exists")
        image = _image(request, project, received)
        context.state.images[project, image.fingerprint] = image
        source = address_in(project, f"/1.0/images/{image.fingerprint}")
        context.events.lifecycle(
            "image-created", source, project, context={"type": image.type}, requested=True
        )
        return None

    operation = context.operations.start(
        "Downloading image", [f"/1.0/images/{received.fingerprint}"], project, keep
    )
    return background(operation)


async def show(request: web.Request) -> web.Response:
    """Describe one image; the beginning of its fingerprint is enough."""
    image = _find(request)
    return sync(documents.image(request.app[CONTEXT].state, image), etag=etag(image))


async def change(request: web.Request) -> web.Response:
    """Change an image's properties."""
    body, image = await body_of(request), _find(request)
    check_match(request.headers.get("If-Match"), etag(image))
    properties = strings(body.get("properties"), "ImagePut.properties")
    if request.method == "PATCH":
        properties = {**image.properties, **properties}
    public = bool(body.get("public", image.public))
    request.app[CONTEXT].state.images[image.project, image.fingerprint] = replace(
        image, properties=properties, public=public
    )
    return sync({})


async def delete(request: web.Request) -> web.Response:
    """Begin to delete an image."""
    image, context = _find(request), request.app[CONTEXT]
    url = f"/1.0/images/{image.fingerprint}"
    source = address_in(image.project, url)

    async def forget(_operation: Operation) -> Callable[[], None] | None:
        context.state.images.pop((image.project, image.fingerprint), None)
        for key, alias in list(context.state.aliases.items()):
            if (alias.project, alias.target) == (image.project, image.fingerprint):
                del context.state.aliases[key]
        return partial(context.events.lifecycle, "image-deleted", source, image.project)

    return background(context.operations.start("Deleting image", [url], image.project, forget))


async def list_aliases(request: web.Request) -> web.Response:
    """List aliases."""
    project, state = _project(request), request.app[CONTEXT].state
    found = [alias for alias in state.aliases.values() if alias.project == project]
    if recursion_of(request):
        return sync([documents.alias(state, alias) for alias in found])
    return sync([f"/1.0/images/aliases/{alias.name}" for alias in found])


async def make_alias(request: web.Request) -> web.Response:
    """Name an image."""
    project, context, body = _project(request), request.app[CONTEXT], await body_of(request)
    name, target = body.get("name") or "", body.get("target") or ""
    if not name or not target:
        raise LxdError(400, "name and target are required")
    if (project, name) in context.state.aliases:
        raise LxdError(409, f'Alias "{name}" already exists')
    if (project, target) not in context.state.images:
        raise not_found("Image")
    context.state.aliases[project, name] = Alias(
        project=project, name=name, target=target, description=body.get("description") or ""
    )
    source = address_in(project, f"/1.0/images/aliases/{name}")
    context.events.lifecycle("image-alias-created", source, project, context={"target": target})
    return created(source)


async def show_alias(request: web.Request) -> web.Response:
    """Describe one alias."""
    alias = _find_alias(request)
    return sync(documents.alias(request.app[CONTEXT].state, alias), etag=etag(alias))


async def change_alias(request: web.Request) -> web.Response:
    """Let an alias name another image."""
    body, alias, state = await body_of(request), _find_alias(request), request.app[CONTEXT].state
    target = body.get("target") or (alias.target if request.method == "PATCH" else "")
    if not target:
        raise LxdError(400, "The target field is required")
    if (alias.project, target) not in state.images:
        raise not_found("Image")
    description = body.get("description", alias.description) or ""
    state.aliases[alias.project, alias.name] = replace(
        alias, target=target, description=description
    )
    return sync({})


async def delete_alias(request: web.Request) -> web.Response:
    """Take a name from an image."""
    alias, context = _find_alias(request), request.app[CONTEXT]
    del context.state.aliases[alias.project, alias.name]
    source = address_in(alias.project, f"/1.0/images/aliases/{alias.name}")
    context.events.lifecycle("image-alias-deleted", source, alias.project)
    return sync({})


def _project(request: web.Request) -> str:
    state = request.app[CONTEXT].state
    try:
        return state.project_for("images", project_of(request))
    except LxdError as error:
        text = "Check if project has images: fetch project: Project not found"
        raise LxdError(404, text) from error


def _find(request: web.Request) -> Image:
    project, wanted = _project(request), request.match_info["fingerprint"]
    found = [
        image
        for (owner, fingerprint), image in request.app[CONTEXT].state.images.items()
        if owner == project and fingerprint.startswith(wanted)
    ]
    if not found:
        raise not_found("Image")
    if len(found) > 1:
        raise LxdError(400, "More than one image matches")
    return found[0]


def _find_alias(request: web.Request) -> Alias:
    key = (_project(request), request.match_info["alias"])
    found = request.app[CONTEXT].state.aliases.get(key)
    if found is None:
        raise not_found("Image alias")
    return found


@dataclass(frozen=True)
class _Received:
    """An upload: everything about its content, which is thrown away."""

    fingerprint: str
    size: int
    type: str
    readable: bool
    metadata: Mapping[str, Any]


async def _receive(request: web.Request) -> _Received:
    digest, sizes, kind = hashlib.sha256(), [0], CONTAINER
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as first:
        if request.content_type.startswith("multipart/"):
            parts = 0
            reader = await request.multipart()
            while (part := await reader.next()) is not None:
                if not isinstance(part, BodyPartReader):
                    raise LxdError(400, "Invalid multipart image")
                if part.name == "rootfs.img":
                    kind = VIRTUAL_MACHINE
                target = first if parts == 0 else None
                sizes.append(await _take(part.read_chunk, digest, target))
                parts += 1
        else:
            sizes.append(await _take(request.content.read, digest, first))
        first.seek(0)
        head = first.read(_HEAD)
        first.seek(0)
        readable = head.startswith((*_MAGIC, _PLACEHOLDER)) or head[_TAR] == b"ustar"
        if head.startswith(_PLACEHOLDER + b" " + VIRTUAL_MACHINE.encode()):
            kind = VIRTUAL_MACHINE
        loop = asyncio.get_running_loop()
        metadata = await loop.run_in_executor(None, _metadata, first) if readable else {}
    return _Received(digest.hexdigest(), sum(sizes), kind, readable, metadata)


async def _take(
    read: Callable[[int], Any], digest: Any, target: tempfile.SpooledTemporaryFile[bytes] | None
) -> int:
    size = 0
    while chunk := await read(_CHUNK):
        digest.update(chunk)
        size += len(chunk)
        if target is not None:
            target.write(chunk)
    return size


def _metadata(tarball: IO[bytes]) -> Mapping[str, Any]:
    """Read an image's description; one that Python can't unpack has none."""
    try:
        with tarfile.open(fileobj=tarball, mode="r:*") as archive:
            for member in archive:
                if member.name.removeprefix("./") == "metadata.yaml":
                    content = archive.extractfile(member)
                    loaded = yaml.safe_load(content.read()) if content is not None else None
                    return loaded if isinstance(loaded, dict) else {}
    except (tarfile.TarError, yaml.YAMLError, EOFError, OSError):
        pass
    return {}


def _image(request: web.Request, project: str, received: _Received) -> Image:
    metadata = received.metadata
    properties = {str(k): str(v) for k, v in (metadata.get("properties") or {}).items()}
    properties.update(parse_qsl(request.headers.get("X-LXD-properties", "")))
    made = datetime.fromtimestamp(int(metadata.get("creation_date") or 0), timezone.utc)
    return Image(
        project=project,
        fingerprint=received.fingerprint,
        type=received.type,
        size=received.size,
        uploaded_at=now(),
        created_at=made.strftime("%Y-%m-%dT%H:%M:%SZ"),
        filename=request.headers.get("X-LXD-filename", ""),
        public=request.headers.get("X-LXD-public", "") in {"1", "true"},
        architecture=str(metadata.get("architecture") or "x86_64"),
        properties=properties,
    )
