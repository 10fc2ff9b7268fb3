"""Names of runners: made once, never reused, and recognised again without a database."""

import re
import secrets
import string

MAX_INSTALLATION_LENGTH = 40
"""Leaves room for the suffix below LXD's 63 characters and GitHub's 64."""

_SUFFIX_LENGTH = 8
_ALPHABET = string.ascii_lowercase + string.digits


def new_runner_name(installation: str) -> str:
    """Make a name that no runner has had: the installation's name and a random suffix.

    Eight characters of 36 make a repetition among a million runners of one installation a matter
    of one in six; GitHub refuses a name that is taken (409) and the fleet then asks for another.
    """
    suffix = "".join(secrets.choice(_ALPHABET) for _ in range(_SUFFIX_LENGTH))
    return f"{installation}-{suffix}"


def belongs_to(installation: str, name: str) -> bool:
    """Tell whether a runner's name was made by this installation.

    The whole name must fit, so that `web` never claims what `web-2` made.
    """
    pattern = rf"{re.escape(installation)}-[a-z0-9]{{{_SUFFIX_LENGTH}}}"
    return re.fullmatch(pattern, name) is not None
