"""How a job is inspected: which facts are asked for, and what the checks say of them.

Conversations, as those of `supervisor.github`: they hold no connection. They end with a verdict, or
with the error that a fact could not be had for; nothing else than `Passed` lets a job run.
"""

from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import quote

from supervisor.github.errors import NotFound, Refused, reading
from supervisor.github.exchange import Cache, Request, Talk
from supervisor.policy.document import Check, Policy
from supervisor.policy_service import checks, facts
from supervisor.policy_service.approval import approves
from supervisor.policy_service.checks import Failed, Passed, Verdict
from supervisor.policy_service.questions import BranchQuestion, PullRequestQuestion, Question

T = TypeVar("T")

_PAGE = 100
_MOST_PAGES = 50
_MOST_APPROVERS = 20
_NEXT = 'rel="next"'


def inspect(event: str, question: Question, policy: Policy, cache: Cache) -> Talk[Verdict]:
    """Make the checks that the policy has for an event, until one fails.

    Args:
        event: one of the policy document's.
        question: what is asked; one about a pull request for the event `pull_request`.
        policy: says which checks are made.
        cache: of answers that may still hold.

    Raises:
        GitHubError: a fact can't be had.
    """
    for check in policy.checks(event):
        verdict = yield from _make(check, question, cache)
        if not isinstance(verdict, Passed):
            return verdict
    return Passed()


def _make(check: Check, question: Question, cache: Cache) -> Talk[Verdict]:
    if check is Check.COLLABORATORS:
        return (yield from _collaborators(question, cache))
    if not isinstance(question, PullRequestQuestion):
        return Failed(f"{check.value} can be checked of pull requests only")
    if check is Check.TARGET_BRANCH_PROTECTION:
        return (yield from _target_branch_protection(question, cache))
    if check is Check.DISALLOW_FORK:
        return (yield from _disallow_fork(question, cache))
    return (yield from _execute_job(question, cache))


def _collaborators(question: BranchQuestion, cache: Cache) -> Talk[Verdict]:
    path = f"{_repository(question)}/collaborators?affiliation=outside&permission=triage"
    outside = yield from _list(cache, path, "list the outside collaborators", facts.collaborator)
    return checks.nobody_outside_may_write(outside)


def _target_branch_protection(question: PullRequestQuestion, cache: Cache) -> Talk[Verdict]:
    branch = question.target_branch_name
    repository, quoted = _repository(question), quote(branch, safe="")
    path = f"{repository}/branches/{quoted}"
    protected = yield from _fact(cache, path, f"read the branch {branch}", facts.is_protected)
    path = f"{repository}/rules/branches/{quoted}"
    rules = yield from _list(cache, path, f"list the rules of {branch}", facts.rule)
    verdict = checks.branch_is_protected(branch, protected=protected, rules=rules)
    if not isinstance(verdict, Passed):
        return verdict
    if not question.is_from_fork:
        path, aim = repository, "read the repository"
        if branch != (yield from _fact(cache, path, aim, facts.default_branch)):
            return Passed()
    reviews = []
    path = f"{repository}/branches/{quoted}/protection"
    aim = f"read the protection of {branch}"
    try:
        found = yield from _fact(cache, path, aim, facts.protection)
        reviews += [found] if found else []
    except NotFound:  # it has none, or rulesets in its stead
        pass
    verdict = checks.reviews_are_required(branch, reviews)
    for rule in rules:
        if not isinstance(verdict, Passed) and rule.approvals is not None:
            bypassers = None
            if rule.approvals:
                bypassers = yield from _bypassers(cache, f"{repository}/rulesets/{rule.ruleset_id}")
            source = f"the ruleset {rule.ruleset_id} of {rule.source}"
            reviews.append(facts.Reviews(source, rule.approvals, bypassers))
            verdict = checks.reviews_are_required(branch, reviews)
    return verdict


def _bypassers(cache: Cache, path: str) -> Talk[tuple[str, ...] | None]:
    return (yield from _fact(cache, path, "read a ruleset", facts.bypassers))


def _disallow_fork(question: PullRequestQuestion, cache: Cache) -> Talk[Verdict]:
    if not question.is_from_fork:
        return Passed()
    owner = question.source_owner
    return checks.fork_is_ours(owner, (yield from _permission(question, cache, owner)))


def _execute_job(question: PullRequestQuestion, cache: Cache) -> Talk[Verdict]:
    if not question.is_from_fork:
        return Passed()  # who makes branches in the repository itself has write access
    permission = yield from _permission(question, cache, question.source_owner)
    if permission in checks.MAY_WRITE:
        return Passed()
    numbers = yield from _pulls(question, cache)
    authors: dict[str, bool] = {}
    for number in numbers:
        path = f"{_repository(question)}/issues/{number}/comments"
        aim = f"list the comments of #{number}"
        for comment in (yield from _list(cache, path, aim, facts.comment)):
            if comment.author and approves(comment.body, question.commit_sha):
                authors[comment.author] = comment.is_associated
    # Anybody may comment: those come first whom GitHub takes for somebody.
    asked = sorted(authors, key=lambda login: not authors[login])[:_MOST_APPROVERS]
    approvers: list[tuple[str, str]] = []
    for login in asked:
        approvers.append((login, (yield from _permission(question, cache, login))))
        if approvers[-1][1] in checks.MAY_WRITE:
            break
    return checks.somebody_approved(question.commit_sha, numbers, approvers)


def _pulls(question: PullRequestQuestion, cache: Cache) -> Talk[tuple[int, ...]]:
    """Find the open pull requests of the job's branch: in its repository, as forks share names."""
    branch = question.source_branch_name
    head = quote(f"{question.source_owner}:{branch}", safe="")
    path = f"{_repository(question)}/pulls?state=open&head={head}"
    found = yield from _list(cache, path, "list the pull requests", facts.pull)
    return tuple(
        pull.number
        for pull in found
        if pull.head_ref == branch
        and pull.head_repository.lower() == question.source_repository_name.lower()
    )


def _permission(question: PullRequestQuestion, cache: Cache, login: str) -> Talk[str]:
    """Ask what somebody may do; who is no user, such as an organisation, may do nothing."""
    path = f"{_repository(question)}/collaborators/{quote(login, safe='')}/permission"
    aim = f"read the permission of {login}"
    try:
        return (yield from _fact(cache, path, aim, lambda data: facts.permission(data, login)))
    except NotFound:
        return "none"


def _repository(question: BranchQuestion) -> str:
    return f"/repos/{question.repository_name}"


def _fact(cache: Cache, path: str, aim: str, read: Callable[[Any], T]) -> Talk[T]:
    answer = yield from cache.fetch(Request("GET", path, aim))
    with reading(aim):
        return read(answer.data)


def _list(cache: Cache, path: str, aim: str, read: Callable[[Any], T]) -> Talk[list[T]]:
    """Read every page of a list.

    Raises:
        Refused: it is longer than any that is read.
    """
    found: list[T] = []
    separator = "&" if "?" in path else "?"
    for page in range(1, _MOST_PAGES + 1):
        paged = f"{path}{separator}per_page={_PAGE}&page={page}"
        answer = yield from cache.fetch(Request("GET", paged, aim))
        with reading(aim):
            found += [read(one) for one in facts.items(answer.data)]
        if _NEXT not in answer.headers.get("link", "") and len(answer.data) < _PAGE:
            return found
    raise Refused(f"could not {aim}: there are more than {_MOST_PAGES * _PAGE}")
