"""The comment by which a maintainer lets an outside contributor's commit run."""

import re

ORDER = "/canonical/self-hosted-runners/run-workflows"


def approves(body: str, commit_sha: str) -> bool:
    """Tell whether a comment lets a commit run.

    What stands in a quotation does not count: it is somebody else's. Lines are those that Markdown
    knows, and no others: a separator of Unicode's does not end a quotation. The lines right
    below a quotation, up to an empty one, are shown as a part of it, and count as such.

    Args:
        body: Markdown.
        commit_sha: in full.
    """
    # The rest of the number must not follow; whatever else may, as people write sentences.
    order = re.compile(rf"{re.escape(ORDER)}[ \t]+{re.escape(commit_sha)}(?![0-9A-Za-z])", re.ASCII)
    in_quotation = False
    for line in body.split("\n"):
        text = line.strip()
        in_quotation = bool(text) and (in_quotation or text.startswith(">"))
        if not in_quotation and order.search(text):
            return True
    return False
