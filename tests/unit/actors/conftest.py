"""Give the actors' tests their world."""

from fake_world import all_in_memory, make_world

__all__ = ["all_in_memory", "make_world"]
