"""How a job has ended: the runner application's word for it, and what others say for that."""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from supervisor.lifecycle.life import Job

REFUSED = "Refused"
"""The policy's word: to the application and to GitHub such a job has failed."""


class Words(NamedTuple):
    """What others call a result.

    Attributes:
        conclusion: GitHub's word, https://docs.github.com/en/rest/actions/workflow-jobs; for what
            it does not tell apart the same word in small letters.
        convention: that of OpenTelemetry's semantic conventions.
        label: that of metrics.
    """

    conclusion: str
    convention: str
    label: str


WORDS: Mapping[str, Words] = {
    "Succeeded": Words("success", "success", "succeeded"),
    "Failed": Words("failure", "failure", "failed"),
    "Canceled": Words("cancelled", "cancellation", "cancelled"),
    "Abandoned": Words("abandoned", "error", "abandoned"),
    "Skipped": Words("skipped", "skip", "skipped"),
    REFUSED: Words("refused", "failure", "refused"),
}
"""By the application's word, or the policy's. GitHub has more conclusions, and adds some."""
_RESULTS = {words.conclusion: result for result, words in WORDS.items()}


def conclusion_of(result: str) -> str:
    """Give GitHub's word for a result; the same in small letters where it has none."""
    return WORDS[result].conclusion if result in WORDS else result.lower()


def result_of(conclusion: str) -> str:
    """Give the word for GitHub's conclusion; the same where the application has none."""
    return _RESULTS.get(conclusion, conclusion)


def learnt(job: Job, conclusion: str) -> Job:
    """Give a job as it is known once GitHub has told how it ended.

    GitHub's word is worth more than that of a guest, which may say what it likes. What the policy
    has refused is refused, though: to GitHub it has failed.

    Args:
        job: as its guest has told of it.
        conclusion: empty where GitHub has told of none.
    """
    if not conclusion or job.result == REFUSED:
        return job
    return replace(job, result=result_of(conclusion))
