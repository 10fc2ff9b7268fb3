"""Which one-time tokens have been used: a file for each, named by its nonce."""

import os
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from supervisor.gateways.private_file import ensure_directory
from supervisor.policy.tokens import Claim

_KEPT_LONGER = timedelta(hours=1)
_PRUNED_EVERY = timedelta(minutes=10)


class UsedTokens:
    """Those of one service. For any thread and any number of processes.

    Args:
        directory: theirs alone.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._pruned_at: datetime | None = None

    def prepare(self) -> None:
        """Make the directory ready.

        Raises:
            OSError: it can't be used.
        """
        ensure_directory(self._directory)

    def use(self, claim: Claim, now: datetime) -> bool:
        """Use a token; tell whether this was the first time.

        The file's name is the token's nonce, and its time the token's expiry for who prunes.

        Raises:
            OSError: that can't be told.
        """
        self._prune(now)
        used, expires = self._directory / claim.nonce, claim.expires_at.timestamp()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            os.close(os.open(used, flags, 0o600))
        except FileExistsError:
            return False
        os.utime(used, (expires, expires))
        return True

    def trouble(self) -> str:
        """Say why no use of a token can be noted; empty if it can."""
        if os.access(self._directory, os.W_OK | os.X_OK):
            return ""
        return f"used tokens can't be noted: {self._directory} is not there, or not to be written"

    def _prune(self, now: datetime) -> None:
        """Forget tokens that have expired a while ago: clocks may be set back a little."""
        if self._pruned_at is not None and abs(now - self._pruned_at) < _PRUNED_EVERY:
            return
        self._pruned_at = now
        before = (now - _KEPT_LONGER).timestamp()
        with os.scandir(self._directory) as entries:
            for used in entries:
                with suppress(FileNotFoundError):  # another worker was faster
                    if used.stat().st_mtime < before:
                        Path(used).unlink()
