"""What all workers share, on the disk: which tokens have been used, and the policy."""

import json
import os
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from supervisor.gateways.private_file import ensure_directory, read_whole, write_whole
from supervisor.policy_service import document
from supervisor.policy_service.document import Policy
from supervisor.policy_tokens import Claim

_KEPT_LONGER = timedelta(hours=1)
_PRUNED_EVERY = timedelta(minutes=10)


class State:
    """The service's directory. For any thread and any number of processes.

    Args:
        directory: the service's alone.
    """

    def __init__(self, directory: Path) -> None:
        self._used = directory / "used-tokens"
        self._policy = directory / "policy.json"
        self._pruned_at: datetime | None = None

    def prepare(self, policy: Any) -> None:
        """Make the directory ready, and begin with this policy document.

        Raises:
            OSError: it can't be used.
        """
        ensure_directory(self._policy.parent)
        ensure_directory(self._used)
        self.set_policy(policy)

    def use(self, claim: Claim, now: datetime) -> bool:
        """Use a token; tell whether this was the first time.

        The file's name is the token's nonce, and its time the token's expiry for who prunes.

        Raises:
            OSError: that can't be told.
        """
        self._prune(now)
        used, expires = self._used / claim.nonce, claim.expires_at.timestamp()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            os.close(os.open(used, flags, 0o600))
        except FileExistsError:
            return False
        os.utime(used, (expires, expires))
        return True

    def trouble(self) -> str:
        """Say why no job can be judged by what is here; empty if it can."""
        try:
            self.policy()
        except OSError as error:
            return f"the policy document can't be read: {error.strerror}"
        except ValueError:
            return f"the policy document can't be used: {self._policy} holds something else"
        if not os.access(self._used, os.W_OK | os.X_OK):
            return f"used tokens can't be noted: {self._used} is not there, or not to be written"
        return ""

    def set_policy(self, policy: Any) -> None:
        """Have all workers use another policy document, from their next check on.

        Raises:
            OSError: it can't be written.
        """
        write_whole(self._policy, json.dumps(policy))

    def policy(self) -> Policy:
        """Read the policy.

        Raises:
            OSError: it can't be read.
            ValueError: it is none.
        """
        return document.parse_optional(json.loads(read_whole(self._policy)))

    def _prune(self, now: datetime) -> None:
        """Forget tokens that have expired a while ago: clocks may be set back a little."""
        if self._pruned_at is not None and abs(now - self._pruned_at) < _PRUNED_EVERY:
            return
        self._pruned_at = now
        before = (now - _KEPT_LONGER).timestamp()
        for name in os.listdir(self._used):  # noqa: PTH208 - there may be many
            used = self._used / name
            with suppress(FileNotFoundError):  # another worker was faster
                if used.stat().st_mtime < before:
                    used.unlink()
