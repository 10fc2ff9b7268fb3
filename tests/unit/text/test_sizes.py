from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.text import sizes

_UNITS = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]


@pytest.mark.parametrize(("power", "unit"), list(enumerate(_UNITS, start=1)))
def test_every_unit_is_1024_of_the_one_before(power: int, unit: str) -> None:
    assert sizes.parse(f"3{unit}") == 3 * 1024**power


@pytest.mark.parametrize(
    "text", ["", "7", "7GB", "0GiB", "-1GiB", "1.5GiB", "٣GiB", "7 GiB", "7GiB\n", "07GiB", "GiB"]
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be a whole number and a unit: KiB, MiB"):
        sizes.parse(text)


@pytest.mark.parametrize("text", ["8EiB", "9999999EiB", "8388608TiB", "9" * 31 + "KiB"])
def test_a_size_that_lxd_can_not_count_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be less than 8EiB"):
        sizes.parse(text)


@given(st.integers(1, 10**12), st.sampled_from(_UNITS))
def test_a_size_is_read_exactly_or_refused(number: int, unit: str) -> None:
    expected = number * 1024 ** (_UNITS.index(unit) + 1)
    if expected <= sizes.LARGEST:
        assert sizes.parse(f"{number}{unit}") == expected
    else:
        with pytest.raises(ValueError, match="less than 8EiB"):
            sizes.parse(f"{number}{unit}")


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 KiB"),
        (512 * 2**20, "512 MiB"),
        (int(9.5 * 2**30), "9.5 GiB"),
        (int(61.4 * 2**30), "61 GiB"),
        (2**70, "1,024 EiB"),
    ],
)
def test_people_read_a_size_in_the_unit_that_fits(size: int, words: str) -> None:
    assert sizes.in_words(size) == words
