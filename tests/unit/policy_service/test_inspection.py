"""Whole inspections, answered by hand: what passes, what does not, and that nothing else passes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from policy_world import (
    APPROVAL,
    FORK,
    NOT_FOUND,
    REPOSITORY,
    World,
    body,
    comment,
    page_of,
    pull,
    pull_request_rule,
)

from supervisor.github.errors import Asker, GitHubError, Refused, Unavailable, check
from supervisor.github.exchange import Answer, Cache, Request
from supervisor.github.scope import Scope
from supervisor.policy.document import DEFAULT, Check, Policy, parse
from supervisor.policy_service.checks import Failed, Passed, Verdict
from supervisor.policy_service.inspection import inspect
from supervisor.policy_service.questions import BranchQuestion, PullRequestQuestion

ASKER = Asker(Scope.parse(REPOSITORY), "token")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
Respond = Callable[[Request], tuple[int, Any]]


def lead(
    world: World,
    question: BranchQuestion | None = None,
    policy: Policy = DEFAULT,
    *,
    event: str = "pull_request",
    respond: Respond | None = None,
    cache: Cache | None = None,
) -> Verdict:
    """Inspect a job in a world, or by the answers of `respond`."""
    question = question or PullRequestQuestion(**body())
    talk = inspect(event, question, policy, cache or Cache())
    respond = respond or (lambda request: world.answer(request.path))
    step: Callable[[], Request] = partial(next, talk)
    try:
        while True:
            request = step()
            try:
                status, data = respond(request)
                headers = {}
                if isinstance(data, list) and "page=" in request.path:
                    data, more = page_of(request.path, data)
                    headers = {"link": '<next>; rel="next"'} if more else {}
                answer = Answer(status, headers, data)
                check(request, answer, ASKER)
            except GitHubError as error:
                step = partial(talk.throw, error)
            else:
                step = partial(talk.send, answer)
    except StopIteration as end:
        verdict = end.value
        assert isinstance(verdict, Passed | Failed)
        return verdict


def reason(verdict: Verdict) -> str:
    assert isinstance(verdict, Failed)
    assert verdict.reason.isprintable()
    return verdict.reason


def own_branch(**changes: Any) -> PullRequestQuestion:
    return PullRequestQuestion(**body(source_repository_name=REPOSITORY, **changes))


# What passes.


def test_a_fork_s_commit_that_a_maintainer_has_approved_may_run() -> None:
    assert lead(World()) == Passed()


def test_a_fork_of_somebody_with_write_access_may_run_without_a_comment() -> None:
    for permission in ("write", "admin"):
        assert lead(World(permissions={"outsider": permission}, comments=[])) == Passed()


def test_a_branch_of_the_repository_itself_may_run_without_a_comment() -> None:
    assert lead(World(pulls=[], comments=[], permissions={}), own_branch()) == Passed()


def test_a_repository_s_name_has_no_case() -> None:
    question = PullRequestQuestion(**body(source_repository_name=REPOSITORY.upper()))
    assert lead(World(pulls=[], permissions={}), question) == Passed()


def test_a_ruleset_that_wants_reviews_is_as_good_as_branch_protection() -> None:
    rulesets = {3: {"bypass_actors": []}}
    assert lead(World(reviews=None, rules=[pull_request_rule()], rulesets=rulesets)) == Passed()


def test_administrators_may_bypass_a_ruleset_as_they_may_branch_protection() -> None:
    actors = [
        {"actor_type": "OrganizationAdmin", "actor_id": None},
        {"actor_type": "RepositoryRole", "actor_id": 5},
    ]
    world = World(
        reviews=None, rules=[pull_request_rule()], rulesets={3: {"bypass_actors": actors}}
    )
    assert lead(world) == Passed()


def test_one_good_ruleset_among_bad_ones_is_enough() -> None:
    actors = [{"actor_type": "Team", "actor_id": 9}]
    world = World(
        reviews={
            "required_approving_review_count": 1,
            "bypass_pull_request_allowances": {"users": [{"login": "chief"}]},
        },
        rules=[pull_request_rule(2), pull_request_rule(3, approvals=0), pull_request_rule(4)],
        rulesets={2: {"bypass_actors": actors}, 4: {"bypass_actors": []}},
    )
    assert lead(world) == Passed()


@pytest.mark.parametrize("event", ["push", "schedule", "workflow_dispatch"])
def test_a_job_of_a_branch_may_run_where_nobody_outside_may_write(event: str) -> None:
    question = BranchQuestion(repository_name=REPOSITORY)
    assert lead(World(), question, event=event) == Passed()


def test_a_check_that_the_document_disables_is_not_made() -> None:
    rule = {"enabled": False}
    nothing = {"pull_request": {one.value: rule for one in Check}}
    asked: list[Request] = []

    def respond(request: Request) -> tuple[int, Any]:
        asked.append(request)
        return NOT_FOUND

    assert lead(World(), policy=parse(nothing), respond=respond) == Passed()
    assert asked == []


# What does not.


@pytest.mark.parametrize(
    ("world", "words"),
    [
        (World(protected=False), "the target branch main is not protected"),
        (World(reviews=None), "neither branch protection nor a ruleset requires a pull request"),
        (
            World(reviews={"required_approving_review_count": 0}),
            "branch protection requires no approval",
        ),
        *(
            (
                World(
                    reviews={
                        "required_approving_review_count": 1,
                        "bypass_pull_request_allowances": {kind: [{key: "x"}]},
                    }
                ),
                f"branch protection can be bypassed by {kind[:-1]} x",
            )
            for kind, key in (("users", "login"), ("teams", "slug"), ("apps", "slug"))
        ),
        (
            World(
                reviews=None,
                rules=[pull_request_rule()],
                rulesets={3: {"bypass_actors": [{"actor_type": "Team", "actor_id": 9}]}},
            ),
            "the ruleset 3 of acme can be bypassed by Team 9",
        ),
        (
            World(
                reviews=None,
                rules=[pull_request_rule()],
                rulesets={3: {"bypass_actors": [{"actor_type": "RepositoryRole", "actor_id": 4}]}},
            ),
            "the ruleset 3 of acme can be bypassed by RepositoryRole 4",
        ),
        (
            World(reviews=None, rules=[pull_request_rule()], rulesets={3: {}}),
            "who may bypass the ruleset 3 of acme is not shown",
        ),
        (
            World(reviews=None, rules=[pull_request_rule(approvals=0)]),
            "the ruleset 3 of acme requires no approval",
        ),
        *(
            (
                World(outside=[{"login": "mallory", "role_name": role}]),
                f"outside collaborators have more than the role read: mallory ({role})",
            )
            for role in ("triage", "write", "maintain", "admin", "an-own-role", "Read")
        ),
        (World(pulls=[]), "there is no open pull request of the job's fork and branch"),
        (World(pulls=[pull(branch="other")]), "there is no open pull request"),
        (World(pulls=[pull("outsider/other-fork")]), "there is no open pull request"),
        (World(pulls=[pull(None)]), "there is no open pull request"),
        (World(comments=[]), "pull request #7: nobody has approved"),
        (World(comments=[comment("maintainer", None)]), "nobody has approved"),
        (World(comments=[comment(None, APPROVAL)]), "nobody has approved"),
        (World(comments=[comment("maintainer", f"> {APPROVAL}")]), "nobody has approved"),
        (
            World(comments=[comment("outsider", APPROVAL)]),
            "have no write access: outsider",
        ),
        (World(comments=[comment("stranger", APPROVAL)]), "have no write access: stranger"),
    ],
)
def test_a_fork_s_job_may_not_run_and_the_reason_is_said(world: World, words: str) -> None:
    assert words in reason(lead(world))


def test_where_forks_are_disallowed_no_comment_helps() -> None:
    policy = parse({"pull_request": {"execute_job": {"enabled": False}}})
    assert "jobs of forks may not run here" in reason(lead(World(), policy=policy))
    assert lead(World(permissions={"outsider": "write"}), policy=policy) == Passed()


def test_reviews_matter_for_a_branch_of_one_s_own_where_it_goes_to_the_default_one() -> None:
    assert "need no review" in reason(lead(World(reviews=None), own_branch()))
    assert lead(World(reviews=None, default_branch="trunk"), own_branch()) == Passed()


def test_a_ruleset_protects_where_github_does_not_call_the_branch_protected() -> None:
    rule = {"type": "non_fast_forward", "ruleset_id": 1, "ruleset_source": REPOSITORY}
    world = World(protected=False, rules=[rule])
    assert lead(world) == Passed()
    world.rules[0]["type"] = "commit_message_pattern"
    assert "is not protected" in reason(lead(world))


def test_the_only_one_of_hundreds_of_collaborators_is_found_on_the_last_page() -> None:
    readers = [{"login": f"reader-{number}", "role_name": "read"} for number in range(299)]
    assert lead(World(outside=readers)) == Passed()
    mallory = {"login": "mallory", "role_name": "write"}
    assert "mallory (write)" in reason(lead(World(outside=[*readers, mallory])))


def test_the_approval_on_the_last_page_of_comments_is_found() -> None:
    chatter = [comment("outsider", "ping") for _ in range(250)]
    assert lead(World(comments=[*chatter, comment("maintainer", APPROVAL)])) == Passed()


def test_strangers_who_write_approvals_do_not_hide_a_maintainer_s() -> None:
    noise = [comment(f"stranger-{number}", APPROVAL) for number in range(90)]
    real = comment("maintainer", APPROVAL, author_association="MEMBER")
    asked: list[str] = []
    world = World(comments=[*noise, real])

    def respond(request: Request) -> tuple[int, Any]:
        asked.append(request.path)
        return world.answer(request.path)

    assert lead(world, respond=respond) == Passed()
    world.comments.remove(real)
    asked.clear()
    assert isinstance(lead(world, respond=respond), Failed)
    assert len([path for path in asked if "/stranger-" in path]) == 20


def test_a_list_without_end_is_an_error() -> None:
    endless = [{"login": "reader", "role_name": "read"}] * 10_000
    with pytest.raises(Refused, match="there are more than 5000"):
        lead(World(outside=endless))


def test_unchanged_answers_are_used_again_and_changed_ones_are_not() -> None:
    held: dict[str, tuple[str, Answer]] = {}
    cache, world = Cache(held), World()
    talk = inspect("push", BranchQuestion(repository_name=REPOSITORY), DEFAULT, cache)
    next(talk)
    with pytest.raises(StopIteration):
        talk.send(Answer(200, {"etag": '"1"'}, world.outside))
    talk = inspect("push", BranchQuestion(repository_name=REPOSITORY), DEFAULT, cache)
    assert next(talk).etag == '"1"'
    with pytest.raises(StopIteration) as end:
        talk.send(Answer(304, {}, None))
    assert end.value.value == Passed()
    talk = inspect("push", BranchQuestion(repository_name=REPOSITORY), DEFAULT, cache)
    next(talk)
    with pytest.raises(StopIteration) as end:
        talk.send(Answer(200, {}, [{"login": "mallory", "role_name": "admin"}]))
    assert isinstance(end.value.value, Failed)


# That nothing else passes.


def spoiled(name: str, path: str, spoil: Callable[[tuple[int, Any]], tuple[int, Any]]) -> Verdict:
    """Inspect a job that would pass, with one of the answers spoiled."""

    def respond(request: Request) -> tuple[int, Any]:
        answer = copy.deepcopy(WORLDS[name].answer(request.path))
        return spoil(answer) if request.path == path else answer

    return lead(WORLDS[name], QUESTIONS.get(name), respond=respond)


def paths_of(name: str) -> list[str]:
    asked: list[str] = []

    def respond(request: Request) -> tuple[int, Any]:
        asked.append(request.path)
        return WORLDS[name].answer(request.path)

    assert lead(WORLDS[name], QUESTIONS.get(name), respond=respond) == Passed()
    return asked


WORLDS = {
    "branch protection": World(),
    "rulesets": World(
        protected=False,
        reviews=None,
        rules=[pull_request_rule()],
        rulesets={3: {"bypass_actors": [{"actor_type": "RepositoryRole", "actor_id": 5}]}},
    ),
    "a friend's fork": World(permissions={"outsider": "write"}),
    "a branch to another than the default": World(default_branch="trunk", reviews=None),
}
QUESTIONS = {"a branch to another than the default": own_branch()}
FACTS = [(name, path) for name in WORLDS for path in paths_of(name)]


def keys_in(data: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    members = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in members:
        if isinstance(data, dict):
            yield (*at, key)
        if isinstance(value, dict | list):
            yield from keys_in(value, (*at, key))


def not_a_pass(outcome: Callable[[], Verdict]) -> bool:
    try:
        return outcome() != Passed()
    except GitHubError:
        return True


def does_without(name: str, path: str) -> bool:
    """Tell whether a pass may do without that fact, as another one stands for it."""
    if path.endswith("/outsider/permission"):
        return name != "a friend's fork"  # somebody else has approved
    return name == "rulesets" and path.endswith("/protection")


@pytest.mark.parametrize(("name", "path"), FACTS)
def test_no_status_but_a_good_one_becomes_a_pass(name: str, path: str) -> None:
    for status in (301, 302, 400, 401, 403, 404, 409, 422, 429, 500, 502, 503):
        if status == 404 and does_without(name, path):
            continue
        verdicts = [
            lambda s=status: spoiled(name, path, lambda _: (s, {"message": "Oh"})),
            lambda s=status: spoiled(name, path, lambda answer: (s, answer[1])),
        ]
        assert [not_a_pass(verdict) for verdict in verdicts] == [True, True], status


@pytest.mark.parametrize(("name", "path"), FACTS)
def test_no_call_that_fails_becomes_a_pass(name: str, path: str) -> None:
    def fail(_answer: tuple[int, Any]) -> tuple[int, Any]:
        raise Unavailable("no answer")

    with pytest.raises(Unavailable):
        spoiled(name, path, fail)


@given(st.sampled_from(FACTS), JSON)
def test_no_answer_of_another_kind_becomes_a_pass(fact: tuple[str, str], data: Any) -> None:
    name, path = fact
    assume(not does_without(name, path))
    assume(not (data == [] and ("collaborators?" in path or "/rules/" in path)))  # fine, nobody
    assert not_a_pass(lambda: spoiled(name, path, lambda _: (200, data)))


@given(st.data())
def test_no_missing_field_becomes_a_pass(data: st.DataObject) -> None:
    name, path = data.draw(st.sampled_from(FACTS))
    keys = list(keys_in(WORLDS[name].answer(path)[1])) or [()]
    where = data.draw(st.sampled_from(keys))
    assume(where and WORLDS[name].answer(path)[0] == 200)

    def take_away(answer: tuple[int, Any]) -> tuple[int, Any]:
        place = answer[1]
        for key in where[:-1]:
            place = place[key]
        del place[where[-1]]
        return answer

    assert not_a_pass(lambda: spoiled(name, path, take_away))


@given(st.data(), JSON)
def test_no_field_of_another_kind_becomes_a_pass(data: st.DataObject, value: Any) -> None:
    name, path = data.draw(st.sampled_from(FACTS))
    keys = list(keys_in(WORLDS[name].answer(path)[1])) or [()]
    where = data.draw(st.sampled_from(keys))
    assume(where and WORLDS[name].answer(path)[0] == 200)

    def replace(answer: tuple[int, Any]) -> tuple[int, Any]:
        place = answer[1]
        for key in where[:-1]:
            place = place[key]
        assume(type(place[where[-1]]) is not type(value))
        place[where[-1]] = value
        return answer

    assert not_a_pass(lambda: spoiled(name, path, replace))


@given(
    permission=st.sampled_from(["admin", "write", "read", "none"]),
    approver=st.sampled_from(["admin", "write", "read", "none"]),
    approvals=st.integers(0, 2),
    role=st.sampled_from(["read", "triage", "write"]),
    protected=st.booleans(),
    approves=st.booleans(),
    disallowed=st.booleans(),
)
def test_a_pass_is_what_all_facts_together_make_it(
    *,
    permission: str,
    approver: str,
    approvals: int,
    role: str,
    protected: bool,
    approves: bool,
    disallowed: bool,
) -> None:
    world = World(
        protected=protected,
        reviews={"required_approving_review_count": approvals},
        outside=[{"login": "someone", "role_name": role}],
        permissions={"outsider": permission, "maintainer": approver},
        comments=[comment("maintainer", APPROVAL if approves else "hm")],
    )
    policy = parse({"pull_request": {"disallow_fork": {"enabled": disallowed}}})
    is_friend = permission in {"admin", "write"}
    is_approved = approves and approver in {"admin", "write"}
    expected = (
        protected
        and approvals > 0
        and role == "read"
        and (is_friend or (is_approved and not disallowed))
    )
    assert (lead(world, policy=policy) == Passed()) == expected


def test_the_fork_of_the_tests_is_another_repository() -> None:
    assert PullRequestQuestion(**body()).is_from_fork
    assert FORK != REPOSITORY
