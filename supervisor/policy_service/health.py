"""Whether the service is of use: GitHub answers it, and its disk takes what it writes."""

from supervisor.policy_service.judge import Judge
from supervisor.policy_service.known import DISK_HOLDS_S, Known

_GITHUB_HOLDS_S = 10.0


class Health:
    """Looks but seldom, as anybody may ask for the health. For any thread.

    Args:
        judge: asks GitHub, and knows what it needs besides.
    """

    def __init__(self, judge: Judge) -> None:
        self._disk = Known(judge.unable, DISK_HOLDS_S, "its directory is being looked at")
        self._github = Known(judge.ping, _GITHUB_HOLDS_S, "GitHub has not answered yet")

    def trouble(self) -> str:
        """Say why no job can be let run; empty if one can."""
        return self._disk.trouble() or self._github.trouble()
