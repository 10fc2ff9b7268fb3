from __future__ import annotations

import pytest

from supervisor.text.durations import span


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "-"), (0, "0.0s"), (0.34, "0.3s"), (9.94, "9.9s"), (10, "10s"), (59.4, "59s"),
        (59.6, "1m00s"), (312, "5m12s"), (3600, "1h00m"), (11_100, "3h05m"), (86_400, "1d00h"),
        (352_800, "4d02h"),
    ],
)  # fmt: skip
def test_how_long_something_took_is_said_shortly(seconds: float | None, words: str) -> None:
    assert span(seconds) == words
