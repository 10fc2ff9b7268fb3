"""When to look for something newer: one look at a time, and not too often."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Looks:
    """The looks of one incarnation.

    Attributes:
        done: how many have ended.
        began: when the last one began (monotonic, seconds); None before the first.
        under_way: one is.
        wanted_at: when another is to begin that was ordered, or as soon as the one under way has
            ended; None if none was.
    """

    done: int = 0
    began: float | None = None
    under_way: bool = False
    wanted_at: float | None = None

    def order(self, now: float, fresh_s: float) -> "Looks":
        """Take an order.

        Args:
            now: monotonic, seconds.
            fresh_s: it has time until so many seconds after the beginning of the last one.
        """
        at = now if self.began is None or not fresh_s else max(now, self.began + fresh_s)
        wanted_at = at if self.wanted_at is None else min(at, self.wanted_at)
        return replace(self, wanted_at=wanted_at)

    def is_due(self, now: float) -> bool:
        """Tell whether one that was ordered is to begin now."""
        return not self.under_way and self.wanted_at is not None and self.wanted_at <= now

    @property
    def done_by(self) -> int:
        """Say how many will have been done when all that was ordered is done."""
        return self.done + self.under_way + (self.wanted_at is not None)

    def begin(self, now: float) -> "Looks":
        """Note that a look begins."""
        return replace(self, began=now, under_way=True, wanted_at=None)

    def end(self) -> "Looks":
        """Note that the one under way has ended."""
        return replace(self, done=self.done + 1, under_way=False)
