"""What the storage actor may be told, and what it announces."""

from dataclasses import dataclass


@dataclass(frozen=True)
class AnnounceStorage:
    """Say to fleet and image whether there is room for disks: answered by `StorageChanged`."""


@dataclass(frozen=True)
class StorageChanged:
    """Whether there is a pool for runners' disks has changed.

    Attributes:
        pool: the pool that can be used; empty if none can.
        size: for how many bytes of disks it is known to be large enough.
        reason: why none can be used, for the operator; empty if one can.
    """

    pool: str = ""
    size: int = 0
    reason: str = ""
