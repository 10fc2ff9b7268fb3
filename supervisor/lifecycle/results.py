"""How a job has ended: the runner application's word for it, and GitHub's."""

from collections.abc import Mapping

_CONCLUSIONS: Mapping[str, str] = {
    "Succeeded": "success",
    "Failed": "failure",
    "Canceled": "cancelled",
    "Skipped": "skipped",
}
"""GitHub's word, by the runner application's for the same."""
_RESULTS = {conclusion: result for result, conclusion in _CONCLUSIONS.items()}
_OTHER_CONCLUSIONS = frozenset(
    {"timed_out", "neutral", "action_required", "stale", "startup_failure"}
)
"""For which the application has no word.

https://docs.github.com/en/rest/actions/workflow-jobs
"""


def conclusion_of(result: str) -> str:
    """Give GitHub's word for a result; the same in small letters where it has none."""
    return _CONCLUSIONS.get(result, result.lower())


def result_of(state: str) -> str:
    """Give the word of a job's state at GitHub, if that is an end; empty while it is none."""
    return _RESULTS.get(state) or (state if state in _OTHER_CONCLUSIONS else "")
