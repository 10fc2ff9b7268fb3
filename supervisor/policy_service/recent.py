"""A table that keeps what was put there last."""

from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(dict[K, V], Generic[K, V]):
    """A dictionary of limited size; the entry that was set longest ago goes first. For any thread.

    Args:
        most: what all entries may weigh.
        heaviest: what one may weigh; heavier ones are not kept.
        weigh: tells what an entry weighs.
    """

    def __init__(self, most: int, heaviest: int, weigh: Callable[[V], int]) -> None:
        super().__init__()
        self._most = most
        self._heaviest = heaviest
        self._weigh = weigh
        self._weights: dict[K, int] = {}
        self._lock = Lock()

    def __setitem__(self, key: K, value: V) -> None:
        weight = self._weigh(value)
        with self._lock:
            self._drop(key)
            if weight > self._heaviest:
                return
            super().__setitem__(key, value)
            self._weights[key] = weight
            while sum(self._weights.values()) > self._most:
                self._drop(next(iter(self._weights)))

    def _drop(self, key: K) -> None:
        self.pop(key, None)
        self._weights.pop(key, None)
