from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest

from supervisor.gateways.upgrade_notes import UpgradeNotes
from supervisor.upgrades.notes import Failure, Note, Older

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)
NOTE = Note("b", NOW, Failure("b", 2, NOW, "it hangs"), Older("a", "b", NOW))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "upgrade-notes"


def test_what_is_noted_of_each_thing_outlives_the_process(path: Path) -> None:
    notes = UpgradeNotes(path)
    assert notes.of("one") == Note()
    notes.keep("one", NOTE)
    notes.keep("another", Note("c"))
    again = UpgradeNotes(path)
    assert (again.of("one"), again.of("another")) == (NOTE, Note("c"))


@pytest.mark.parametrize(
    "told",
    [
        '{"one": 7}',
        '{"one": {"failure": {"version": "a"}}}',
        '{"one": {"latest": "a", "latest_since": "2030-01-01T00:00:00"}}',
    ],
)
def test_what_lacks_something_or_a_zone_is_not_believed(path: Path, told: str) -> None:
    path.write_text(told)
    assert UpgradeNotes(path).of("one") == Note()
