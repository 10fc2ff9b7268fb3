"""Whether it is time to look for something newer: one look at a time, and none without need."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Looks:
    """The looks of one incarnation.

    Attributes:
        done: how many have ended.
        began: when the last one began (monotonic, seconds); None before the first.
        under_way: one is.
        again: another is to follow it, as what was ordered came after its beginning.
    """

    done: int = 0
    began: float | None = None
    under_way: bool = False
    again: bool = False

    def order(self, now: float, fresh_s: float) -> "Looks":
        """Take an order; where `again` stands and none is under way, one is to begin.

        Args:
            now: monotonic, seconds.
            fresh_s: the last look serves, where it began within so many seconds.
        """
        if fresh_s and self.began is not None and now - self.began < fresh_s:
            return self
        return replace(self, again=True)

    @property
    def is_due(self) -> bool:
        """Tell whether one is to begin now."""
        return self.again and not self.under_way

    @property
    def done_by(self) -> int:
        """Say how many will have been done when all that was ordered is done."""
        return self.done + self.under_way + self.again

    def begin(self, now: float) -> "Looks":
        """Note that a look begins."""
        return replace(self, began=now, under_way=True, again=False)

    def end(self) -> "Looks":
        """Note that the one under way has ended."""
        return replace(self, done=self.done + 1, under_way=False)
