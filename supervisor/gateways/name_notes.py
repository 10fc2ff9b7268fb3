"""What names last stood for, noted on the disk for those who are started while DNS is silent."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from loguru import logger
from pydantic import TypeAdapter

from supervisor.firewall.networks import Address
from supervisor.gateways.private_file import read_whole, write_whole

Known = Mapping[str, tuple[Address, ...]]

_KNOWN = TypeAdapter(dict[str, tuple[IPv4Address | IPv6Address, ...]])


class NameNotes:
    """A file of JSON with the addresses of each name. For one thread at a time.

    Args:
        path: of the file; its directory is made with it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._noted = _read(path)
        self._is_written = True

    def all(self) -> Known:
        """Give what is noted."""
        return self._noted

    def keep(self, known: Known) -> None:
        """Note this and nothing else; what could not be written is tried again with the next."""
        # In one order, in whatever order a resolver answers.
        noted = {name: tuple(sorted(known[name], key=_position)) for name in sorted(known)}
        if noted == self._noted and self._is_written:
            return
        self._noted = noted
        try:
            write_whole(self._path, _KNOWN.dump_json(noted).decode())
            self._is_written = True
        except OSError as error:
            if self._is_written:
                logger.warning("can't note what names stand for: {}", error)
            self._is_written = False


def _position(address: Address) -> tuple[int, int]:
    return address.version, int(address)


def _read(path: Path) -> dict[str, tuple[Address, ...]]:
    try:
        return _KNOWN.validate_json(read_whole(path))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as error:
        words = str(error).splitlines()[0]
        logger.warning("can't read what names stood for, {}: {}", path, words)
        return {}
