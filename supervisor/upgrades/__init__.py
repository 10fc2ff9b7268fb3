"""What is kept current: what is good, when a newer one is looked for, and how that is told."""

from supervisor.upgrades.attempts import Attempts
from supervisor.upgrades.looks import Looks
from supervisor.upgrades.standing import Standing, State, in_words, warnings

__all__ = ["Attempts", "Looks", "Standing", "State", "in_words", "warnings"]
