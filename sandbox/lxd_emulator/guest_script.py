"""What a simulated guest reads in what it was given: pure."""

from __future__ import annotations

import base64
import json
import re
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_ASSIGNMENT = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)=(?P<value>.*)")
_STEP = re.compile(
    r"(?:^|;|&&)[ \t]*(?:(?P<what>sleep|exit)[ \t]+(?P<number>\d+(?:\.\d+)?)|(?P<false>false)\b)",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Registration:
    """What the just-in-time configuration says.

    Attributes:
        server_url: The sandbox GitHub.
        token: The runner's single-use token. Secret.
        ephemeral: The runner takes one job only.
    """

    server_url: str
    token: str = field(repr=False)
    ephemeral: bool


@dataclass(frozen=True)
class Job:
    """A job as the runner protocol hands it out.

    Attributes:
        fields: Its header.
        seconds: How long its script would take: its `sleep SECONDS` before an `exit` or `false`.
        succeeds: False if the script meets `false` or an `exit` with another code than 0.
    """

    fields: Mapping[str, str]
    seconds: float
    succeeds: bool


def assignments(script: str) -> dict[str, str]:
    """Return the assignments at the top of a shell script, unquoted.

    Raises:
        ValueError: One can't be read.
    """
    found: dict[str, str] = {}
    for line in script.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _ASSIGNMENT.fullmatch(line)
        if match is None:
            break
        words = shlex.split(match["value"])
        if len(words) > 1:
            break
        found[match["name"]] = words[0] if words else ""
    return found


def registration(jit_config: str) -> Registration:
    """Read a just-in-time configuration.

    Raises:
        ValueError: It is none.
    """
    try:
        files = json.loads(base64.b64decode(jit_config, validate=True))
        settings = json.loads(base64.b64decode(files[".runner"]))
        credentials = json.loads(base64.b64decode(files[".credentials"]))
        return Registration(
            server_url=settings["serverUrl"].rstrip("/"),
            token=credentials["data"]["token"],
            ephemeral=bool(settings.get("ephemeral", True)),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no just-in-time configuration: {error!r}") from error


def job(text: str) -> Job:
    """Read a job.

    Raises:
        ValueError: It has no number.
    """
    header, _, script = text.partition("\n\n")
    fields = dict(line.split("=", 1) for line in header.splitlines() if "=" in line)
    if not fields.get("id", "").isdigit():
        raise ValueError("a job without a number")
    seconds, succeeds = 0.0, True
    for step in _STEP.finditer(script):
        if step["what"] != "sleep":
            succeeds = step["what"] == "exit" and float(step["number"]) == 0
            break
        seconds += float(step["number"])
    return Job(fields, seconds, succeeds)
