"""Give the control API's tests their world."""

from fake_world import make_world

__all__ = ["make_world"]
