"""Where a test needs it, the world that the tests of actors live in."""

from fake_world import all_in_memory, make_world

__all__ = ["all_in_memory", "make_world"]
