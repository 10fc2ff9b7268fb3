"""What names last stood for, noted on the disk for those who are started while DNS is silent."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

from pydantic import PlainValidator, TypeAdapter

from supervisor.firewall.networks import Address
from supervisor.gateways.note_file import NoteFile

Known = Mapping[str, tuple[Address, ...]]


def _read_address(noted: object) -> Address:
    """Read an address; one with a zone, which may hold any words, is none that a lookup gives."""
    try:
        address = ip_address(str(noted))
    except ValueError:
        address = None
    if address is None or getattr(address, "scope_id", None):
        raise ValueError("must be an address without a zone, such as 192.0.2.1")
    return address


_KNOWN = TypeAdapter(dict[str, tuple[Annotated[Address, PlainValidator(_read_address)], ...]])


class NameNotes:
    """The addresses of each name, in a file. For one thread at a time.

    Args:
        path: of the file; its directory is made with it.
    """

    def __init__(self, path: Path) -> None:
        self._file = NoteFile(path, _KNOWN, {}, "what names stand for")

    @property
    def warning(self) -> str:
        """Why they could not be noted; empty while they are."""
        return self._file.warning

    def all(self) -> Known:
        """Give what is noted."""
        return self._file.value

    def keep(self, known: Known) -> None:
        """Note this and nothing else."""
        # In one order, in whatever order a resolver answers.
        self._file.keep({name: tuple(sorted(known[name], key=_position)) for name in sorted(known)})


def _position(address: Address) -> tuple[int, int]:
    return address.version, int(address)
