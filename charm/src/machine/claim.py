"""Who has the machine: one installation at a time."""

from __future__ import annotations

from . import files
from .errors import MachineError
from .places import Places
from .units import SERVICE


class Claim:
    """That of one machine.

    Args:
        places: where it is noted.
    """

    def __init__(self, places: Places) -> None:
        self._places = places
        self._note = places.notes / "unit"

    def take(self, unit: str) -> None:
        """Take the machine for a unit; one that has it already keeps it.

        Args:
            unit: its name.

        Raises:
            MachineError: another one has it.
            OSError: it can't be noted.
        """
        if not self._note.exists():
            self._refuse_a_plain_installation()
            # One hook runs on a machine at a time, so nobody writes another's meanwhile.
            files.make_directory(self._places.notes, 0o700)
            files.write(self._note, f"{unit}\n")
        owner = files.read(self._note).strip()
        if owner != unit:
            raise MachineError(
                f"this machine is {owner}'s, and takes one unit: deploy to another machine, or, "
                f"if that unit is gone for good, delete {self._note}"
            )

    def _refuse_a_plain_installation(self) -> None:
        for path in (self._places.units / SERVICE, self._places.config):
            if path.exists():
                raise MachineError(
                    f"a daemon was installed here by hand ({path}): remove it first, "
                    "or deploy to another machine"
                )
