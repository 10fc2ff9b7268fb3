"""The few classes that label values are put into, so that the number of series has a bound."""

import re
from collections.abc import Collection, Mapping

from supervisor.causes import OF_GITHUB, OF_LXD, Cause
from supervisor.lifecycle import Stage
from supervisor.lifecycle.results import WORDS
from supervisor.policy.limits import IN_LOG

OTHER = "other"
UNKNOWN = "unknown"
GONE = "gone"
STOPPED = "stopped"
GITHUB = "github"

RESULTS = {**{result: words.label for result, words in WORDS.items()}, "": UNKNOWN}
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

VERDICTS = tuple(IN_LOG)

_FAILURES: Mapping[str, Collection[Cause]] = {
    "removal": {Cause.REMOVAL_FAILED},
    "policy": {Cause.JOB_UNCHECKED},
    "timeout": {Cause.TIMED_OUT},
    STOPPED: {Cause.STOPPED},
    "vanished": {Cause.VANISHED},
    "offline": {Cause.OFFLINE},
    GITHUB: OF_GITHUB,
    "lxd": OF_LXD,
}
_FAILURE_CLASSES = {str(one): name for name, causes in _FAILURES.items() for one in causes}

FAILURES = (*_FAILURES, GONE, OTHER)
"""Why a runner has failed, in one word; of one that is gone nobody has said why."""


def result_class(result: str) -> str:
    """Put a job's result into a class."""
    return RESULTS.get(result, OTHER)


def event_class(event: str) -> str:
    """Put the event that has caused a job into a class."""
    return event if event in EVENTS else OTHER if event else UNKNOWN


def failure_class(cause: str, failed_in: str) -> str:
    """Put the cause of a runner's failure into a class.

    Args:
        cause: as the runner's record has it; empty if that has none.
        failed_in: the stage that it did not come through.
    """
    # Before there is an instance nobody but GitHub is asked anything.
    otherwise = GITHUB if failed_in == Stage.REQUESTED else OTHER
    return _FAILURE_CLASSES.get(cause, otherwise)


def status_class(status: str) -> str:
    """Put the status of an answer, or the words for its absence, into a class."""
    return f"{status[0]}xx" if re.fullmatch(r"[1-5]\d\d", status) else "none"
