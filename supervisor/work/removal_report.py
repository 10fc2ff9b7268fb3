"""What was removed, what was kept, and what is left: told as it goes, and noted for the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from supervisor.gateways.lxd import LxdError, LxdUnavailable
from supervisor.gateways.nftables import NftablesError
from supervisor.gateways.storage import StorageError

if TYPE_CHECKING:
    from supervisor.host.removal import Claim

Outcome = Literal["removed", "kept", "left"]
Say = Callable[[Outcome, str, str], object]
"""Told of each thing: what came of it, what it is, and why it is there still."""


@dataclass
class Report:
    """What came of a removal.

    Attributes:
        say: told of each thing.
        removed: in words.
        kept: what is of use to somebody else, in words, each with the reason. That is no failure.
        left: what could not be removed, in words, each with the reason.
    """

    say: Say
    removed: list[str] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)

    def gone(self, what: str) -> None:
        """Note that something was removed."""
        self.removed.append(what)
        self.say("removed", what, "")

    def keep(self, what: str, why: str) -> None:
        """Note that something is kept for somebody else."""
        self.kept[what] = why
        self.say("kept", what, why)

    def stays(self, what: str, why: object) -> None:
        """Note that something is left."""
        self.left[what] = str(why)
        self.say("left", what, str(why))

    def attempt(self, claim: Claim, remove: Callable[..., object], *arguments: object) -> bool:
        """Remove what is claimed, and note what came of it.

        Args:
            claim: on it.
            remove: does so; it returns False if there was nothing.
            arguments: of that.

        Returns:
            Whether it is gone.

        Raises:
            LxdUnavailable: LXD can't be asked, for anything else either.
        """
        if claim.obstacle:
            self.keep(claim.what, claim.obstacle)
            return False
        try:
            if remove(*arguments) is not False:
                self.gone(claim.what)
        except LxdUnavailable as error:
            self.stays(claim.what, error)
            raise
        except (LxdError, StorageError, NftablesError, OSError) as error:
            self.stays(claim.what, error)
            return False
        return True
