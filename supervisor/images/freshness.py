"""Whether an image's packages are the newest there are, read off what apt would do."""

import re

_INSTALL = re.compile(r"^Inst (\S+) ", re.MULTILINE)
_NAMED = 5


def outdated(text: str) -> tuple[str, ...]:
    """Read the packages that `apt-get --simulate dist-upgrade` would install."""
    return tuple(dict.fromkeys(_INSTALL.findall(text)))


def in_words(packages: tuple[str, ...]) -> str:
    """Say which packages are out of date, the first few by name."""
    named = ", ".join(packages[:_NAMED])
    more = len(packages) - _NAMED
    return f"{named} and {more} more" if more > 0 else named
