"""Sizes of memory and disks: as LXD writes them, in bytes, and in words for people."""

import re

LARGEST = 2**63 - 1
"""In bytes: LXD counts with 64 bits and a sign, and a larger number turns negative there."""

_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_PATTERN = re.compile(rf"([1-9][0-9]{{0,30}})({'|'.join(_UNITS)})")
_STEP = 1024
_TEN = 10


def parse(text: str) -> int:
    """Read a size such as `7GiB` and give it in bytes.

    Raises:
        ValueError: it is none, or LXD could not hold it; the message says what it must be.
    """
    match = _PATTERN.fullmatch(text)
    if not match:
        raise ValueError(f"must be a whole number and a unit: {', '.join(_UNITS[:-1])} or EiB")
    size: int = int(match[1]) * _STEP ** (_UNITS.index(match[2]) + 1)
    if size > LARGEST:
        raise ValueError("must be less than 8EiB, which is more than LXD can count")
    return size


def in_words(size: int) -> str:
    """Say a number of bytes for people: `512 MiB`, `9.5 GiB`."""
    amount, unit = size / _STEP, _UNITS[0]
    for larger in _UNITS[1:]:
        if amount < _STEP:
            break
        amount, unit = amount / _STEP, larger
    return f"{amount:.1f} {unit}" if amount < _TEN and amount % 1 else f"{amount:,.0f} {unit}"
