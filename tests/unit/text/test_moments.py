from __future__ import annotations

from datetime import datetime, timezone

import pytest

from supervisor.text import moments

NOON = datetime(2030, 1, 31, 12, tzinfo=timezone.utc)


@pytest.mark.parametrize("text", ["2030-01-31T12:00:00Z", "2030-01-31T13:00:00+01:00"])
def test_a_moment_says_its_zone_by_number_or_by_letter(text: str) -> None:
    assert moments.read(text) == NOON


@pytest.mark.parametrize("text", ["2030-01-31T12:00:00", "Z", "", "noon", "2030-13-01T00:00Z"])
def test_what_says_no_moment_or_no_zone_is_none(text: str) -> None:
    assert moments.read(text) is None
