"""What is kept of a failed guest's words: cut to size, harmless to a terminal, and without secrets.

The guest has run other people's code, so its logs may hold anything.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files

from supervisor.guest import GuestParameters
from supervisor.text.printable import one_line, printable

_WITHHELD = "[withheld]"
_HEADINGS_BYTES = 2048
_GUESTS_LOGS = 8
"""In equal shares: cloud-init's, three of the application's, twice as much journal, and air."""

_CREDENTIALS = re.compile(
    r"\bgh[a-z]_\w{20,}|\bgithub_pat_\w{20,}"  # GitHub's tokens
    r"|\bey[IJ][A-Za-z0-9+/_=.-]{40,}"  # encoded JSON: just-in-time configurations, JWT
    # The rest of one whose beginning was cut off.
    r"|(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{200,}={0,2}",
    re.ASCII,
)
_AUTHORIZATION = re.compile(r"(?i)(\bauthorization:\s*[a-z]+\s+)\S+")
_IN_ADDRESS = re.compile(r"(\w://)[^\s/@]+@")  # a proxy's, that was changed since
_SIGNAL_TOKEN = re.compile(r"(?<![\w-])[\w-]{43}(?![\w-])", re.ASCII)


@dataclass(frozen=True)
class Part:
    """One source's logs.

    Attributes:
        title: what it is.
        text: what it says.
        remark: why it says no more, in one line; empty if that is all.
    """

    title: str
    text: str
    remark: str = ""


@dataclass(frozen=True)
class Shares:
    """How many bytes of the whole are whose."""

    console: int
    guest: int

    @classmethod
    def of(cls, most_bytes: int) -> "Shares":
        """Divide."""
        console = most_bytes // 4
        return cls(console, most_bytes - console - _HEADINGS_BYTES)


@dataclass(frozen=True)
class Kept:
    """One runner's logs, as they are kept.

    Attributes:
        runner: its name.
        saved_at: when, as it stands in the file.
        reason: why it failed.
        size: in bytes.
        text: the whole file; empty in a listing.
    """

    runner: str
    saved_at: str
    reason: str
    size: int
    text: str = ""


def command(most_bytes: int) -> tuple[str, ...]:
    """Give the command that has a guest write its logs, at most about so many bytes."""
    share = str(max(1, most_bytes // _GUESTS_LOGS))
    return ("/bin/sh", "-c", _script(), "sh", GuestParameters.runner_home, share)


@cache
def _script() -> str:
    return files("supervisor.guest").joinpath("logs.sh").read_text(encoding="utf-8")


def compose(parts: Iterable[Part], *, secrets: Iterable[str] = (), signal_digest: str = "") -> str:
    """Put all parts together as they are to be kept.

    Args:
        parts: in order.
        secrets: values that are known, and may stand nowhere.
        signal_digest: SHA-256 of another one, in hexadecimal.
    """
    secrets = tuple(secrets)
    pieces = []
    for part in parts:
        text = without_secrets(printable(part.text), secrets, signal_digest).strip("\n")
        remark = without_secrets(one_line(part.remark), secrets)
        remark = remark or ("" if text else "nothing")
        lines = [f"== {part.title} ==", text, f"({remark})" if remark else ""]
        pieces.append("\n".join(filter(None, lines)) + "\n")
    return "\n".join(pieces)


def without_secrets(text: str, secrets: Iterable[str], signal_digest: str = "") -> str:
    """Take out what is known to be secret, and what looks like it."""
    for secret in secrets:
        text = text.replace(secret, _WITHHELD)
    if signal_digest:
        text = _SIGNAL_TOKEN.sub(
            lambda found: (
                _WITHHELD if sha256(found[0].encode()).hexdigest() == signal_digest else found[0]
            ),
            text,
        )
    text = _AUTHORIZATION.sub(rf"\1{_WITHHELD}", text)
    text = _IN_ADDRESS.sub(rf"\1{_WITHHELD}@", text)
    return _CREDENTIALS.sub(_WITHHELD, text)


def ending(text: str, most_bytes: int) -> str:
    """Cut the beginning of a text whose UTF-8 is larger."""
    return text.encode()[-most_bytes:].decode(errors="ignore")


def beginning(text: str, most_bytes: int) -> str:
    """Cut the end of a text whose UTF-8 is larger."""
    return text.encode()[:most_bytes].decode(errors="ignore")
