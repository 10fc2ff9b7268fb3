"""What the policy's actor may be told, and what it announces."""

from dataclasses import dataclass


@dataclass(frozen=True)
class AnnouncePolicy:
    """Say to the fleet whether jobs can be checked: answered by `PolicyChanged`."""


@dataclass(frozen=True)
class PolicyChanged:
    """Whether jobs can be checked against the policy has changed.

    Attributes:
        healthy: they can.
        reason: why they can't, for the operator; empty if they can.
        base: where guests ask, such as `http://10.1.2.1:8643`; empty while that is not known, and
            where they are not to ask.
    """

    healthy: bool
    reason: str = ""
    base: str = ""
