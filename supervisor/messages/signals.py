"""What the signals actor may be told, and what it announces."""

from dataclasses import dataclass


@dataclass(frozen=True)
class AnnounceSignals:
    """Say to fleet and image where guests can report, as soon as they can."""


@dataclass(frozen=True)
class SignalsListening:
    """Guests can report; `base` is the address to report to, such as `http://10.1.2.1:8642`."""

    base: str
