"""The few classes that label values are put into, so that the number of series has a bound."""

import re

from supervisor.lifecycle import Stage

OTHER = "other"
UNKNOWN = "unknown"
GONE = "gone"
STOPPED = "stopped"

RESULTS = {
    "Succeeded": "succeeded",
    "Failed": "failed",
    "Canceled": "cancelled",
    "Abandoned": "abandoned",
    "Skipped": "skipped",
    "Refused": "refused",
    "": UNKNOWN,
}
"""How a job ended, by the word of the runner application; refused is the policy's."""

EVENTS = (
    "push",
    "pull_request",
    "pull_request_target",
    "merge_group",
    "schedule",
    "workflow_dispatch",
)
"""The events that most jobs are caused by."""

VERDICTS = ("allowed", "refused", "error")

_FAILURES = {
    "removal": r"(?s).*; removal failed: ",
    "policy": r"runs a job that the policy has not let run",
    "timeout": r"took too long: ",
    STOPPED: r"stopped while |was found stopped|the runner application ended",
    "vanished": r"GitHub does not know it any more",
    "offline": r"GitHub has not shown it online",
    "github": r"could not (register|find the runner group|get a token) ",
    "lxd": r"could not |LXD ",
}
_FAILURE_PATTERNS = {name: re.compile(pattern) for name, pattern in _FAILURES.items()}

FAILURES = (*_FAILURES, GONE, OTHER)
"""Why a runner has failed, in one word; of one that is gone nobody has said why."""


def result_class(result: str) -> str:
    """Put a job's result into a class."""
    return RESULTS.get(result, OTHER)


def event_class(event: str) -> str:
    """Put the event that has caused a job into a class."""
    return event if event in EVENTS else OTHER if event else UNKNOWN


def failure_class(reason: str, failed_in: str) -> str:
    """Put the reason of a runner's failure into a class.

    Args:
        reason: as the runner's actor gives it, for people.
        failed_in: the stage that it did not come through.
    """
    found = next((name for name, form in _FAILURE_PATTERNS.items() if form.match(reason)), OTHER)
    # Before there is an instance nobody but GitHub is asked anything.
    return "github" if found in {"lxd", OTHER} and failed_in == Stage.REQUESTED else found


def is_own_end(reason: str) -> bool:
    """Tell whether a runner has ended by itself, without an order."""
    return bool(_FAILURE_PATTERNS[STOPPED].match(reason))


def status_class(status: str) -> str:
    """Put the status of an answer, or the words for its absence, into a class."""
    return f"{status[0]}xx" if re.fullmatch(r"[1-5]\d\d", status) else "none"
