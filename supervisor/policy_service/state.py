"""What all workers share, on the disk: which tokens have been used, and the policy."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from supervisor.gateways.private_file import ensure_directory, read_whole, write_whole
from supervisor.policy import document
from supervisor.policy.document import Policy
from supervisor.policy.tokens import Claim
from supervisor.policy_service.used_tokens import UsedTokens


class State:
    """The service's directory. For any thread and any number of processes.

    Args:
        directory: the service's alone.
    """

    def __init__(self, directory: Path) -> None:
        self._used = UsedTokens(directory / "used-tokens")
        self._policy = directory / "policy.json"

    def prepare(self, policy: Any) -> None:
        """Make the directory ready, and begin with this policy document.

        Raises:
            OSError: it can't be used.
        """
        ensure_directory(self._policy.parent)
        self._used.prepare()
        self.set_policy(policy)

    def use(self, claim: Claim, now: datetime) -> bool:
        """Use a token; tell whether this was the first time.

        Raises:
            OSError: that can't be told.
        """
        return self._used.use(claim, now)

    def trouble(self) -> str:
        """Say why no job can be judged by what is here; empty if it can."""
        try:
            self.policy()
        except OSError as error:
            return f"the policy document can't be read: {error.strerror}"
        except ValueError:
            return f"the policy document can't be used: {self._policy} holds something else"
        return self._used.trouble()

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
