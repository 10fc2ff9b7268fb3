"""Keep a fleet of ephemeral GitHub Actions runners alive, each in a throw-away LXD instance."""

from importlib.metadata import version

__version__ = version("github-runner-supervisor")
