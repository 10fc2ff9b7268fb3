"""What the actor of LXD's own filters may be told."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CheckFilters:
    """Look whether LXD's own filters of guests are there.

    Attributes:
        checks: how many looks at the firewall have been done when this one is.
    """

    checks: int
