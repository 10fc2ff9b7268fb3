"""What names last stood for, noted on the disk for those who are started while DNS is silent."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv6Address
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, TypeAdapter

from supervisor.firewall.networks import Address
from supervisor.gateways.note_file import NoteFile

Known = Mapping[str, tuple[Address, ...]]


def _without_zone(address: Address) -> Address:
    # It may be any text, and names nothing that others could reach.
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise ValueError("an address must have no zone (%)")
    return address


_KNOWN = TypeAdapter(dict[str, tuple[Annotated[Address, AfterValidator(_without_zone)], ...]])


class NameNotes:
    """The addresses of each name, in a file. For one thread at a time.

    Args:
        path: of the file; its directory is made with it.
    """

    def __init__(self, path: Path) -> None:
        self._file = NoteFile(path, _KNOWN, {}, "what names stand for")

    def all(self) -> Known:
        """Give what is noted."""
        return self._file.value

    def keep(self, known: Known) -> None:
        """Note this and nothing else."""
        # In one order, in whatever order a resolver answers.
        self._file.keep({name: tuple(sorted(known[name], key=_position)) for name in sorted(known)})


def _position(address: Address) -> tuple[int, int]:
    return address.version, int(address)
