"""What the daemon and the policy service both go by: limits, and words for what was decided."""

from collections.abc import Mapping

SHARE = 8
"""Connections of one guest at a time, at one worker: it needs one."""

LEAST_THREADS, MOST_THREADS = 64, 512
"""Of one worker: so many guests' requests are answered at a time."""

HOST_THREADS = 8
"""Besides those: for the host itself, which asks whether the service is well."""

OLDER_LOGS = 4
"""Files of the log of decisions that are kept beside the one that is written."""

ALLOWED, REFUSED, ERROR = "allowed", "refused", "error"
"""What was decided of a job; an error where it could not be found out, so that it was not let run.
"""

IN_LOG: Mapping[str, str] = {ALLOWED: "pass", REFUSED: "fail", ERROR: "error"}
"""How the log of decisions says it. A service may go on while the daemon is replaced by another
version, and a daemon that finds no `pass` ends jobs: so these words stay.
"""


def threads_for(guests: int) -> int:
    """Say how many threads a worker needs, so that one guest can't keep the others waiting."""
    return min(MOST_THREADS, max(LEAST_THREADS, SHARE * guests))
