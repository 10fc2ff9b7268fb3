"""A journal whose disk hangs."""

from __future__ import annotations

from threading import Event

import pytest

from supervisor.gateways.journal_store import JournalStore


def held_writes(monkeypatch: pytest.MonkeyPatch) -> tuple[Event, Event]:
    """Have each write hang; give what is set when one does, and what lets them all go on."""
    hangs, goes_on = Event(), Event()

    def hang(*_args: object) -> int:
        hangs.set()
        goes_on.wait()
        return 0

    monkeypatch.setattr(JournalStore, "write", hang)
    return hangs, goes_on
