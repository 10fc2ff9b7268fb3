"""Somebody else's policy service, under gunicorn in its own environment, behind a front of ours.

Its process runs the environment's Python, which has gunicorn and the package there, and nothing
that the daemon is installed with: what is imported of `supervisor` needs no more than that.
See docs/policy.md.
"""

from pathlib import Path


def program(python: Path) -> tuple[str, ...]:
    """Give the command that runs it, without its options, by an environment's Python."""
    return (str(python), "-I", str(Path(__file__).with_name("__main__.py")))
