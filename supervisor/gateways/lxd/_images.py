"""Images: import, find by alias, delete."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from requests_toolbelt import MultipartEncoder

from supervisor.gateways.lxd._connection import Connection
from supervisor.gateways.lxd._errors import AlreadyExists, LxdError, NotFound

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_BYTES = "application/octet-stream"
_LIMIT_S = 600.0


class Images(Connection):
    """The calls about images; all block, any thread may make them."""

    def image(self, alias: str) -> str | None:
        """Return the fingerprint of the image with this alias, None if there is none.

        Raises:
            LxdError: LXD can't be asked.
        """
        aim = f"find image {alias}"
        try:
            found = self._call(aim, "get", "images", "aliases", alias).metadata
            target: str = "" + found["target"]  # a number fails here
        except NotFound:
            return None
        except (KeyError, TypeError) as error:
            raise LxdError(f"could not {aim}: LXD describes it in an unknown way") from error
        return target

    def import_image(
        self,
        metadata: Path,
        rootfs: Path | None = None,
        *,
        alias: str,
        virtual_machine: bool = False,
        limit_s: float = _LIMIT_S,
    ) -> str:
        """Import an image from files and point an alias at it.

        An image that LXD has already is not an error; an alias that exists is pointed at the new
        image at once, and the old image stays until it is deleted.

        Args:
            metadata: A unified tarball, or the metadata's tarball of an image in two files.
            rootfs: The second file: squashfs or tarball, or qcow2 for a virtual machine.
            alias: The name that instances are created from.
            virtual_machine: What `rootfs` is for.
            limit_s: How long LXD may take once it has the files.

        Returns:
            The fingerprint.

        Raises:
            LxdError: LXD doesn't take it.
            OSError: A file can't be read.
        """
        aim = f"import image {alias}"
        try:
            answer = self._upload(aim, metadata, rootfs, virtual_machine=virtual_machine)
            state = self._finish(aim, answer, limit_s=limit_s)
            fingerprint = str(state["metadata"]["fingerprint"])
        except AlreadyExists:
            fingerprint = _fingerprint([file for file in (metadata, rootfs) if file])
        except (KeyError, TypeError) as error:
            raise LxdError(f"could not {aim}: LXD gives it no fingerprint") from error
        self._point(alias, fingerprint)
        return fingerprint

    def delete_image(self, fingerprint: str, *, limit_s: float = _LIMIT_S) -> bool:
        """Delete an image with its aliases; instances made from it stay.

        Returns:
            Whether there was one.

        Raises:
            LxdError: It can't be deleted.
        """
        aim = f"delete image {fingerprint}"
        try:
            answer = self._call(aim, "delete", "images", fingerprint)
            self._finish(aim, answer, limit_s=limit_s)
        except NotFound:
            return False
        return True

    def images(self) -> dict[str, tuple[str, ...]]:
        """List the project's images: their fingerprints, each with its aliases.

        Raises:
            LxdError: The list can't be had.
        """
        aim = "list the images"
        found = self._call(aim, "get", "images", params={"recursion": 1}).metadata
        try:
            return {
                entry["fingerprint"]: tuple(alias["name"] for alias in entry.get("aliases") or ())
                for entry in found
            }
        except (AttributeError, KeyError, TypeError) as error:
            raise LxdError(f"could not {aim}: LXD describes one in an unknown way") from error

    def _upload(
        self, aim: str, metadata: Path, rootfs: Path | None, *, virtual_machine: bool
    ) -> Any:
        with ExitStack() as files:
            first = files.enter_context(metadata.open("rb"))
            if rootfs is None:
                return self._call(
                    aim, "post", "images", data=first, headers={"Content-Type": _BYTES}
                )
            # The order of the parts matters to LXD, and the second one's name tells it the type.
            second = files.enter_context(rootfs.open("rb"))
            name = "rootfs.img" if virtual_machine else "rootfs"
            parts = MultipartEncoder(
                [("metadata", ("metadata", first, _BYTES)), (name, (name, second, _BYTES))]
            )
            headers = {"Content-Type": parts.content_type}
            return self._call(aim, "post", "images", data=parts, headers=headers)

    def _point(self, alias: str, fingerprint: str) -> None:
        aim = f"give image {fingerprint[:12]} the alias {alias}"
        try:
            body = {"name": alias, "target": fingerprint}
            self._call(aim, "post", "images", "aliases", json=body)
        except AlreadyExists:
            self._call(aim, "put", "images", "aliases", alias, json={"target": fingerprint})


def _fingerprint(files: Sequence[Path]) -> str:
    """Compute what LXD calls an image: the SHA-256 of its files one after the other."""
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
