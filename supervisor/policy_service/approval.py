"""The comment by which a maintainer lets an outside contributor's commit run."""

import re

ORDER = "/canonical/self-hosted-runners/run-workflows"

_OTHERS = re.compile(r"```|~~~|<[!?/A-Za-z]")
"""Where a fenced code block or HTML begins, a comment of which is not shown at all."""
_OPENING = frozenset("`>[<")
"""What makes the rest of a paragraph a quotation, a piece of code, or a part of a link or tag."""


def approves(body: str, commit_sha: str) -> bool:
    """Tell whether a comment lets a commit run.

    The order stands at the start of a line, so that text that only speaks of it is none, such as
    this service's own refusal. What may be somebody else's or hidden does not count: the paragraph
    of a quotation, whose last lines need no mark of their own, and whatever follows a fenced code
    block or HTML, as to tell where those end takes all of Markdown. Lines are those that
    Markdown knows, and no others: a separator of Unicode's does not end a quotation.

    Args:
        body: Markdown.
        commit_sha: in full.
    """
    # The rest of the number must not follow; whatever else may, as people write sentences. Four
    # blanks or a tab before it would make it code.
    order = re.compile(rf" {{0,3}}{re.escape(ORDER)}[ \t]+{re.escape(commit_sha)}(?![0-9A-Za-z])")
    text = _OTHERS.split(body.replace("\r\n", "\n"), maxsplit=1)[0]
    if "\r" in text:  # a line's end for Markdown, but not for those who quote line by line
        return False
    is_open = False
    for line in text.split("\n"):
        is_open = is_open and bool(line.strip(" \t"))
        if not is_open and order.match(line):
            return True
        is_open = is_open or not _OPENING.isdisjoint(line)
    return False
