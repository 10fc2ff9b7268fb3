"""The API extensions that LXD 5.0.2 lists in `GET /1.0`, in its order."""

from __future__ import annotations

from importlib.resources import files

EXTENSIONS = files(__package__).joinpath("extensions.txt").read_text("ascii").split()
