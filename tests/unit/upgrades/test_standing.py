from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from supervisor.upgrades import Standing, in_words, warnings

AT = datetime(2030, 1, 1, 12, 3, 4, tzinfo=timezone.utc)


def standing(state: Any = "ready", **more: Any) -> Standing:
    return Standing(what="thing", state=state, **more)


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (standing("waiting"), "thing: is being looked at"),
        (standing("waiting", progress="is being asked for"), "thing: is being asked for"),
        (
            standing("failing", error="the disk is full"),
            "thing: none can be used: the disk is full",
        ),
        (standing("upgrading", latest="2.0"), "thing: 2.0 is being got"),
        (
            standing("upgrading", installed="1.0", latest="2.0", progress="5 MiB"),
            "thing: 1.0 is in use, 2.0 is being got: 5 MiB",
        ),
        (standing("upgrading"), "thing: the first one is being got"),
        (
            standing("upgrading", installed="1.0", latest="1.0", progress="installs it"),
            "thing: 1.0 is in use, another is being got: installs it",
        ),
        (standing(installed="1.0", latest=None), "thing: 1.0"),
        (
            standing(installed="1.0", latest="1.0", checked_at=AT),
            "thing: 1.0, the latest, checked at 12:03:04 UTC",
        ),
        (standing(installed="1.0"), "thing: 1.0"),
        (
            standing(installed="1.0", latest="2.0", checked_at=AT, error="it is no archive"),
            "thing: 1.0 stays in use, checked at 12:03:04 UTC: it is no archive",
        ),
        (
            standing(installed="1.0", latest="1.0", installed_at=AT, checked_at=AT),
            "thing: 1.0, the latest, checked at 12:03:04 UTC, in use since 2030-01-01 12:03 UTC",
        ),
        (
            standing(installed="1.0", latest="2.0", latest_since=AT, error="it is no archive"),
            "thing: 1.0 stays in use, 2.0 is known since 2030-01-01 12:03 UTC: it is no archive",
        ),
    ],
)
def test_each_standing_has_words(one: Standing, words: str) -> None:
    assert in_words([one]) == (one.state, words)


@pytest.mark.parametrize(
    ("states", "worst"),
    [
        (("ready", "failing", "upgrading"), "failing"),
        (("ready", "upgrading", "waiting"), "upgrading"),
        (("waiting", "ready"), "waiting"),
        (("ready", "ready"), "ready"),
    ],
)
def test_the_state_is_that_of_the_worst(states: tuple[Any, ...], worst: str) -> None:
    assert in_words([standing(state) for state in states])[0] == worst


def test_warnings_are_those_of_all() -> None:
    assert warnings([standing(warning="a"), standing(), standing(warning="b")]) == ("a", "b")


@pytest.mark.parametrize(
    ("more", "since"),
    [
        ({"installed": "1.0", "latest": "2.0"}, AT),
        ({"installed": "1.0", "latest": "1.0"}, None),
        ({"installed": "1.0", "latest": None}, None),
        ({"installed": "", "latest": "1.0"}, None),
    ],
)
def test_what_is_outdated_is_so_since_the_newest_is_known(
    more: dict[str, Any], since: datetime | None
) -> None:
    assert standing(latest_since=AT, **more).outdated_since == since
