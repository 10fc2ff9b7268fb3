"""Names of instances: made once, never reused, and recognised again without a database."""

import re
import secrets
import string
from hashlib import sha256

MAX_INSTALLATION_LENGTH = 40
"""Leaves room for the suffix below LXD's 63 characters (also DNS's) and GitHub's 64."""

BUILDERS = ("build", "probe", "check")
"""What an instance that is no runner is for: an image is built, looked at, or tried in it."""

_ALPHABET = string.ascii_lowercase + string.digits
_RANDOM_LENGTH = 10
_CHECK_LENGTH = 2


def new_runner_name(installation: str) -> str:
    """Make a name that no runner has had: the installation's name and a suffix.

    Ten random characters of 36: among a million runners of one installation the chance that any
    two are called alike is one in seven thousand. GitHub refuses a name that is taken (409), and
    then another is made.
    """
    unique = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_LENGTH))
    return runner_name(installation, unique)


def runner_name(installation: str, unique: str) -> str:
    """Make the name with this unique part: followed by a check of it and the installation's name.

    The check tells our names from those that people give: `gpu` must never claim a runner that
    somebody has called `gpu-buildserver1`.
    """
    return f"{installation}-{unique}{_check(installation, unique)}"


def belongs_to(installation: str, name: str) -> bool:
    """Tell whether a runner's name was made by this installation.

    The whole name must fit, so that `web` never claims what `web-2` made. A name that somebody
    else has made with a suffix of the same length fits once in 1,296.
    """
    pattern = (
        rf"{re.escape(installation)}-([a-z0-9]{{{_RANDOM_LENGTH}}})[a-z0-9]{{{_CHECK_LENGTH}}}"
    )
    match = re.fullmatch(pattern, name)
    return match is not None and name == runner_name(installation, match[1])


def new_builder_name(installation: str, kind: str) -> str:
    """Make the name of an instance that an image is built or tried in.

    Args:
        installation: whose it is.
        kind: what it is for, one of `BUILDERS`.
    """
    return f"{installation}-image-{kind}-{secrets.token_hex(4)}"


def is_made_by(installation: str, name: str) -> bool:
    """Tell whether an instance's name was made by this installation, for whatever it was."""
    pattern = rf"{re.escape(installation)}-image-(?:{'|'.join(BUILDERS)})-[0-9a-f]{{8}}"
    return belongs_to(installation, name) or re.fullmatch(pattern, name) is not None


def _check(installation: str, unique: str) -> str:
    number = int.from_bytes(sha256(f"{installation}-{unique}".encode()).digest(), "big")
    base = len(_ALPHABET)
    return _ALPHABET[number % base] + _ALPHABET[number // base % base]
