"""The checks: pure functions of facts, each with one verdict."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from supervisor.policy_service.approval import ORDER
from supervisor.policy_service.facts import Collaborator, Reviews, Rule

MAY_WRITE = frozenset({"admin", "write"})


@dataclass(frozen=True)
class Passed:
    """Nothing is wrong."""


@dataclass(frozen=True)
class Failed:
    """The job must not run.

    Attributes:
        reason: what is wrong, and what would be right; one line.
    """

    reason: str


Verdict = Passed | Failed


def branch_is_protected(branch: str, *, protected: bool, rules: Sequence[Rule]) -> Verdict:
    """Judge whether a branch is protected at all: by its protection or by a ruleset."""
    if protected or any(rule.protects for rule in rules):
        return Passed()
    remedy = "protect it by branch protection or a ruleset"
    return Failed(f"the target branch {branch} is not protected; {remedy}")


def reviews_are_required(branch: str, reviews: Iterable[Reviews]) -> Verdict:
    """Judge whether each change of a branch needs a review. One source of it is enough."""
    problems = []
    for one in reviews:
        if one.approvals < 1:
            problems.append(f"{one.source} requires no approval")
        elif one.bypassers is None:
            problems.append(
                f"who may bypass {one.source} is not shown to the service's credential, which "
                "needs the permission Administration: write for that"
            )
        elif one.bypassers:
            problems.append(f"{one.source} can be bypassed by {_some(one.bypassers)}")
        else:
            return Passed()
    found = "; ".join(problems) or "neither branch protection nor a ruleset requires a pull request"
    return Failed(
        f"changes of the target branch {branch} need no review: {found}; require pull requests "
        "with at least one approval there, which nobody but administrators may bypass"
    )


def nobody_outside_may_write(outside: Iterable[Collaborator]) -> Verdict:
    """Judge the outside collaborators, of whom none may have more than the role read."""
    above = [f"{one.login} ({one.role})" for one in outside if one.role != "read"]
    if not above:
        return Passed()
    return Failed(
        f"outside collaborators have more than the role read: {_some(above)}; lower their role, or "
        "make them members"
    )


def fork_is_ours(fork_owner: str, permission: str) -> Verdict:
    """Judge a fork by what its owner may do in the repository itself."""
    if permission in MAY_WRITE:
        return Passed()
    return Failed(
        f"jobs of forks may not run here, but those of users with write access, which {fork_owner} "
        "has not; push the branch to the repository itself"
    )


def somebody_approved(
    commit_sha: str, pulls: Sequence[int], approvers: Iterable[tuple[str, str]]
) -> Verdict:
    """Judge whether somebody with write access has approved a commit of a fork.

    Args:
        commit_sha: in full.
        pulls: the numbers of the open pull requests that it may belong to.
        approvers: who has commented so, each with what they may do.
    """
    # No line that approves as it is: whoever pastes a refusal into a comment approves nothing.
    remedy = (
        f'a user with write access must comment on it "{ORDER} SHA", at the start of a line and '
        f"with {commit_sha} for SHA, then run it again"
    )
    if not pulls:
        return Failed(
            "there is no open pull request of the job's fork and branch; open one for it, and "
            f"{remedy}"
        )
    where = "pull request " + ", ".join(f"#{number}" for number in pulls)
    without = []
    for login, permission in approvers:
        if permission in MAY_WRITE:
            return Passed()
        without.append(login)
    if without:
        them = f"those who approved {commit_sha} have no write access: {_some(without)}"
        return Failed(f"{where}: {them}; {remedy}")
    return Failed(f"{where}: nobody has approved {commit_sha}, which comes from a fork; {remedy}")


def _some(names: Sequence[str], most: int = 10) -> str:
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
