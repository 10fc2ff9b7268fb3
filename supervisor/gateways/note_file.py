"""Something that is noted on the disk for those who are started later, as JSON.

For what is only of use: who can't read or write it goes on, and says so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Generic, TypeVar

from loguru import logger
from pydantic import TypeAdapter, ValidationError

from supervisor.gateways.private_file import MOST_BYTES, read_whole, write_whole

T = TypeVar("T")

_LONGEST_SHOWN = 100


class NoteFile(Generic[T]):
    """A file with one value. For one thread at a time.

    Args:
        path: of the file; its directory is made with it.
        kind: of the value.
        nothing: the value where nothing is noted.
        about: what the value tells, for people.
    """

    def __init__(self, path: Path, kind: TypeAdapter[T], nothing: T, about: str) -> None:
        self._path = path
        self._kind = kind
        self._about = about
        self._value = self._read(nothing)
        self._warning = ""

    @property
    def value(self) -> T:
        """What is noted."""
        return self._value

    @property
    def warning(self) -> str:
        """Why the value could not be written; empty while it is. For any thread."""
        return self._warning

    def keep(self, value: T) -> None:
        """Note another value; what could not be written is tried again with the next."""
        if value == self._value and not self._warning:
            return
        # This process knows it at any rate; the next one might not.
        self._value = value
        try:
            write_whole(self._path, self._text(value))
            self._warning = ""
        except (OSError, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else "") or error
            words = f"can't note {self._about}: {self._path}: {reason}"
            if not self._warning:
                logger.warning("{}", words)
            self._warning = words

    def _text(self, value: T) -> str:
        """Write it as JSON, which has no word for half a character such as others may tell.

        Raises:
            ValueError: it can't be written, or not read again.
        """
        text = self._kind.dump_json(value)
        if len(text) > MOST_BYTES:
            raise ValueError(f"it is longer than {MOST_BYTES} bytes")
        return text.decode()

    def _read(self, nothing: T) -> T:
        try:
            return self._kind.validate_json(read_whole(self._path))
        except (FileNotFoundError, NotADirectoryError):
            return nothing
        except (OSError, ValueError) as error:
            logger.warning("{} does not say {}: {}", self._path, self._about, _in_words(error))
            return nothing


def _in_words(error: OSError | ValueError) -> str:
    """Say where it is wrong, and what."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"]))[:_LONGEST_SHOWN]
    what = first["msg"].removeprefix("Value error, ").replace("Input should", "must")
    return f"{where}: {what}" if where else what
