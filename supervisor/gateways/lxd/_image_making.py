"""Images of which LXD knows where they come from: pulled from a server, or made of an instance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from supervisor.gateways.lxd._errors import LxdError, OperationFailed, Refused
from supervisor.gateways.lxd._images import Images

_COMPRESSION = ("zstd", "none")


@dataclass(frozen=True)
class StoredImage:
    """An image as LXD described it when it was asked.

    Attributes:
        fingerprint: its name, 64 hexadecimal digits.
        type: of the instances it is for: `container` or `virtual-machine`.
        aliases: its other names.
        properties: what it says of itself.
        size: in bytes.
    """

    fingerprint: str
    type: str
    aliases: tuple[str, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)
    size: int = 0


class ImageMaking(Images):
    """The calls that make images and say what they are; all block, any thread may make them."""

    def stored_images(self) -> list[StoredImage]:
        """List the project's images with what they say of themselves.

        Raises:
            LxdError: The list can't be had.
        """
        aim = "list the images"
        found = self._call(aim, "get", "images", params={"recursion": 1}).metadata
        try:
            return [_stored(entry) for entry in found]
        except (AttributeError, KeyError, TypeError) as error:
            raise LxdError(f"could not {aim}: LXD describes them in an unknown way") from error

    def pull_image(self, server: str, alias: str, *, instance_type: str, limit_s: float) -> str:
        """Have LXD fetch an image from a simplestreams server, unless it has that version of it.

        LXD keeps a server's index for an hour, and its answer may be as old as that. It refuses
        files whose SHA-256 is not the index's.

        Args:
            server: The server's address.
            alias: The image's name there.
            instance_type: `container` or `virtual-machine`: they are different files.
            limit_s: How long LXD may take, the download included.

        Returns:
            The fingerprint of the newest version.

        Raises:
            TimedOut: LXD goes on with it.
            LxdError: It can't be had; the message says why.
        """
        aim = f"pull image {alias} from {server}"
        source = {"type": "image", "mode": "pull", "server": server, "alias": alias}
        source |= {"protocol": "simplestreams", "image_type": instance_type}
        answer = self._call(aim, "post", "images", json={"source": source, "auto_update": False})
        return _fingerprint(aim, self._finish(aim, answer, limit_s=limit_s))

    def publish(self, name: str, properties: Mapping[str, str], *, limit_s: float) -> str:
        """Make an image of a stopped instance.

        It is compressed with zstd if LXD finds that program, and not at all otherwise: gzip, LXD's
        default, takes several times as long to make and to unpack.

        Args:
            name: The instance's.
            properties: What the image says of itself, from its first moment on.
            limit_s: How long LXD may take.

        Returns:
            The fingerprint.

        Raises:
            NotFound: There is no such instance.
            Refused: It runs.
            TimedOut: LXD goes on with it.
            LxdError: Anything else.
        """
        aim = f"make an image of instance {name}"
        body: dict[str, Any] = {
            "source": {"type": "instance", "name": name},
            "properties": dict(properties),
            "public": False,
        }
        for compression in _COMPRESSION:
            try:
                answer = self._call(
                    aim, "post", "images", json={**body, "compression_algorithm": compression}
                )
                state = self._finish(aim, answer, limit_s=limit_s)
            except (Refused, OperationFailed) as error:
                if compression not in str(error):
                    raise
                missing = error
            else:
                return _fingerprint(aim, state)
        raise missing

    def update_image(self, fingerprint: str, properties: Mapping[str, str]) -> None:
        """Set properties of an image; others keep their values.

        Raises:
            NotFound: There is no such image.
            LxdError: Anything else.
        """
        aim = f"change the properties of image {fingerprint[:12]}"
        self._call(aim, "patch", "images", fingerprint, json={"properties": dict(properties)})

    def name_image(self, alias: str, fingerprint: str) -> None:
        """Point an alias at an image, wherever it pointed before.

        Raises:
            NotFound: There is no such image.
            LxdError: Anything else.
        """
        self._point(alias, fingerprint)


def _stored(entry: Mapping[str, Any]) -> StoredImage:
    return StoredImage(
        fingerprint=entry["fingerprint"],
        type=entry.get("type") or "",
        aliases=tuple(alias["name"] for alias in entry.get("aliases") or ()),
        properties=dict(entry.get("properties") or {}),
        size=entry.get("size") or 0,
    )


def _fingerprint(aim: str, state: Any) -> str:
    try:
        return str(state["metadata"]["fingerprint"])
    except (KeyError, TypeError) as error:
        raise LxdError(f"could not {aim}: LXD gives it no fingerprint") from error
