"""Which registrations are under way or made ahead, and for whom: a part of the tokens actor."""

from collections import deque
from enum import Enum, auto

from supervisor.messages.tokens import JitConfigMade

_FORGOTTEN = 1000


class Taker(Enum):
    """Who has a registration that was made."""

    RUNNER = auto()  # has asked for it by now
    NOBODY = auto()  # wants it any more: it is to be deleted
    STOCK = auto()  # it is kept until its runner asks for it


class Bookings:
    """Knows of each name whether its registration is under way, is kept, or was let go."""

    def __init__(self) -> None:
        self._under_way: dict[str, bool] = {}
        self._kept: dict[str, JitConfigMade] = {}
        self._unwanted: set[str] = set()
        self._forgotten: deque[str] = deque(maxlen=_FORGOTTEN)

    def is_forgotten(self, name: str) -> bool:
        """Tell whether a name was let go: its first registration may not be gone yet."""
        return name in self._forgotten

    def take(self, name: str) -> JitConfigMade | None:
        """Give what was made ahead for a runner, if that is there."""
        return self._kept.pop(name, None)

    def ask(self, name: str) -> bool:
        """Note that a runner asks; tell whether its registration has yet to begin."""
        is_new = name not in self._under_way
        self._under_way[name] = True
        return is_new

    def ask_ahead(self, name: str) -> bool:
        """Note that a runner will ask; tell whether its registration has yet to begin."""
        if name in self._under_way or name in self._kept:
            return False
        self._under_way[name] = False
        return True

    def is_under_way(self, name: str) -> bool:
        """Tell whether it has begun, or is to, and has not ended."""
        return name in self._under_way

    def forget_ahead(self) -> tuple[tuple[str, JitConfigMade], ...]:
        """Let go of what nobody has asked for; give what is to be deleted at once, by name."""
        self._unwanted |= {name for name, asked in self._under_way.items() if not asked}
        self._forgotten.extend((*self._unwanted, *self._kept))
        return tuple(self._kept.items())

    def failed(self, name: str) -> bool:
        """Note that a registration has failed; tell whether its runner has asked for it."""
        return self._end(name)

    def made(self, name: str, made: JitConfigMade) -> Taker:
        """Note that a registration was made, and say who has it."""
        is_unwanted = name in self._unwanted
        if self._end(name):
            return Taker.RUNNER
        if is_unwanted:
            return Taker.NOBODY
        self._kept[name] = made
        return Taker.STOCK

    def deleted(self, name: str, place: str, runner_id: int) -> None:
        """Let go of what was made ahead, as it is being deleted."""
        made = self._kept.get(name)
        if made and (made.place, made.runner_id) == (place, runner_id):
            del self._kept[name]

    def _end(self, name: str) -> bool:
        self._unwanted.discard(name)
        return self._under_way.pop(name, False)
