"""Names of living actors."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from pykka import ActorDeadError

from supervisor.supervision.cell import cell_of, current_cell
from supervisor.supervision.errors import NameTaken

if TYPE_CHECKING:
    from pykka import ActorRef


class Directory:
    """Who lives under which name. Any thread may use it.

    A supervised child is entered before its `on_start` runs, so what is told to its name from then
    on reaches it, and leaves when its end is reported. The next incarnation takes the name over;
    what an earlier one still does to the entry changes nothing.
    """

    def __init__(self) -> None:
        self._refs: dict[str, ActorRef[Any]] = {}
        self._lock = threading.Lock()

    def register(self, name: str, ref: ActorRef[Any]) -> None:
        """Enter a living actor, in the place of an earlier incarnation or a dead actor.

        Raises:
            NameTaken: another living actor has the name.
        """
        with self._lock:
            holder = self._refs.get(name)
            if holder is not None and holder is not ref and holder.is_alive():
                path = cell_of(holder).path
                if path != cell_of(ref).path:
                    raise NameTaken(name, path)
            self._refs[name] = ref

    def unregister(self, name: str, ref: ActorRef[Any]) -> None:
        """Remove the entry if it is still that incarnation's."""
        with self._lock:
            if self._refs.get(name) is ref:
                del self._refs[name]

    def tell(self, name: str, message: object) -> bool:
        """Tell whoever lives under the name; never raises.

        Returns:
            False if nobody lives there, or the teller is an abandoned actor.
        """
        ref = self._refs.get(name)
        teller = current_cell()
        if ref is None or (teller is not None and teller.fenced):
            return False
        try:
            ref.tell(message)
        except ActorDeadError:
            return False
        return True

    def ref(self, name: str) -> ActorRef[Any] | None:
        """Return the reference of whoever lives under the name, or None."""
        ref = self._refs.get(name)
        return ref if ref is not None and ref.is_alive() else None

    def alive(self, name: str) -> bool:
        """Tell whether somebody lives under the name."""
        return self.ref(name) is not None

    def names(self) -> tuple[str, ...]:
        """Return the names under which somebody lives, sorted."""
        with self._lock:
            entries = list(self._refs.items())
        return tuple(sorted(name for name, ref in entries if ref.is_alive()))
