"""What the emulated LXD refuses."""

from __future__ import annotations


class LxdError(Exception):
    """A refusal, in the words and with the status that LXD 5.0 gives it.

    Raised while a call is answered it becomes an error response; raised inside an operation it
    becomes the operation's failure, whose status is always 400.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


def not_found(what: str) -> LxdError:
    """Return the refusal for something that isn't there."""
    return LxdError(404, f"{what} not found")
