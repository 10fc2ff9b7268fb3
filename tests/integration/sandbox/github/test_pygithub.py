"""PyGithub, unchanged, for all that it has; its raw requests for the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import github as pygithub
import pytest

from sandbox.github import JobRequest, Protection, Reviews, SandboxGitHub

if TYPE_CHECKING:
    from conftest import Contract

TOKEN = "made-up-token"


@pytest.fixture
def client(github: SandboxGitHub) -> pygithub.Github:
    return pygithub.Github(
        auth=pygithub.Auth.Token(TOKEN),
        base_url=github.url,
        retry=None,
        per_page=2,
        seconds_between_requests=0,
        seconds_between_writes=0,
    )


def test_an_organisations_runners_from_registration_to_deletion(
    client: pygithub.Github, contract: Contract
) -> None:
    organization = client.get_organization("acme")
    for number in range(5):
        made = organization.create_self_hosted_runner_jitconfig(f"r{number}", 1, ["x"])
        assert made.encoded_jit_config
    runners = list(organization.get_self_hosted_runners())
    assert [runner.name for runner in runners] == [f"r{number}" for number in range(5)]
    assert [r.id for r in organization.get_self_hosted_runners(name="r3")] == [runners[3].id]
    one = organization.get_self_hosted_runner(runners[0].id)
    assert (one.name, one.status, one.busy) == ("r0", "offline", False)
    organization.delete_self_hosted_runner(one.id)
    with pytest.raises(pygithub.UnknownObjectException):
        organization.get_self_hosted_runner(one.id)
    assert contract.checked == 1 + 5 + 3 + 1 + 1 + 1 + 1


def test_an_organisations_tokens_and_applications(client: pygithub.Github) -> None:
    organization = client.get_organization("acme")
    assert organization.create_self_hosted_runner_registration_token().token
    assert organization.create_self_hosted_runner_remove_token().token
    systems = {a.os for a in organization.get_self_hosted_runner_applications()}
    assert systems == {"linux", "osx", "win"}


def test_a_taken_name_is_a_conflict(client: pygithub.Github) -> None:
    organization = client.get_organization("acme")
    organization.create_self_hosted_runner_jitconfig("r", 1, ["x"])
    with pytest.raises(pygithub.GithubException) as refused:
        organization.create_self_hosted_runner_jitconfig("r", 1, ["x"])
    assert refused.value.status == 409


def test_a_repositorys_runners(client: pygithub.Github) -> None:
    repository = client.get_repo("acme/demo")
    body = {"name": "r", "runner_group_id": 1, "labels": ["x"]}
    path = "/repos/acme/demo/actions/runners/generate-jitconfig"
    _, made = client.requester.requestJsonAndCheck("POST", path, input=body)
    (runner,) = repository.get_self_hosted_runners()
    assert runner.id == made["runner"]["id"]
    assert repository.get_self_hosted_runner(runner.id).name == "r"
    assert repository.remove_self_hosted_runner(runner.id) is True
    assert repository.remove_self_hosted_runner(runner.id) is False


def test_raw_requests_reach_labels_groups_and_conditional_answers(client: pygithub.Github) -> None:
    client.get_organization("acme").create_self_hosted_runner_jitconfig("r", 1, ["x"])
    ask = client.requester.requestJsonAndCheck
    _, labels = ask("PUT", "/orgs/acme/actions/runners/1/labels", input={"labels": ["y"]})
    assert [label["name"] for label in labels["labels"]] == ["x", "y"]
    _, groups = ask("GET", "/orgs/acme/actions/runner-groups")
    assert groups["total_count"] == 1
    headers, _ = ask("GET", "/orgs/acme/actions/runners")
    known = {"If-None-Match": headers["etag"]}
    status, _, body = client.requester.requestJson("GET", "/orgs/acme/actions/runners", None, known)
    assert (status, body) == (304, "")


def test_the_rate_limit(client: pygithub.Github) -> None:
    limit = client.get_rate_limit()
    assert limit.rate.remaining == limit.rate.limit == 1_000_000


def test_runs_and_jobs(client: pygithub.Github, github: SandboxGitHub) -> None:
    first = github.queue(JobRequest(script="true", repository="acme/demo", event="push"))
    second = github.queue(JobRequest(script="true", repository="acme/demo", event="schedule"))
    repository = client.get_repo("acme/demo")
    assert [run.id for run in repository.get_workflow_runs()] == [second.run_id, first.run_id]
    assert [run.id for run in repository.get_workflow_runs(event="push")] == [first.run_id]
    run = repository.get_workflow_run(first.run_id)
    assert (run.status, run.conclusion) == ("queued", None)
    assert [job.id for job in run.jobs()] == [first.id]
    assert run.cancel() is True
    assert repository.get_workflow_job(first.id).conclusion == "cancelled"
    assert repository.get_workflow_runs(status="queued").totalCount == 1


def test_an_enterprise_servers_prefix_leads_to_the_same_place(github: SandboxGitHub) -> None:
    client = pygithub.Github(
        auth=pygithub.Auth.Token(TOKEN), base_url=f"{github.url}/api/v3", retry=None, per_page=1
    )
    organization = client.get_organization("acme")
    for number in range(2):
        organization.create_self_hosted_runner_jitconfig(f"r{number}", 1, ["x"])
    assert [runner.name for runner in organization.get_self_hosted_runners()] == ["r0", "r1"]


def test_a_repositorys_settings(client: pygithub.Github, github: SandboxGitHub) -> None:
    github.protect("acme/demo", "main", Protection(Reviews(2, bypass_users=("eve",))))
    for number in range(3):
        github.set_collaborator("acme/demo", f"user-{number}", "triage", "outside")
    github.open_pull("acme/demo", "mallory/demo:feature")
    for number in range(3):
        github.add_comment("acme/demo", 1, "user-1", f"comment {number}")
    github.add_review("acme/demo", 1, "user-1")
    repository = client.get_repo("acme/demo")
    branch = repository.get_branch(repository.default_branch)
    reviews = branch.get_protection().required_pull_request_reviews
    assert branch.protected
    assert reviews.required_approving_review_count == 2
    assert [user.login for user in reviews.bypass_pull_request_allowances.users] == ["eve"]
    outside = repository.get_collaborators("outside", "triage")
    assert [user.role_name for user in outside] == ["triage"] * 3
    assert repository.get_collaborator_permission("user-1") == "read"
    (pull,) = repository.get_pulls(head="mallory:feature")
    assert pull.head.repo.full_name == "mallory/demo"
    assert [c.body for c in pull.get_issue_comments()] == [f"comment {n}" for n in range(3)]
    assert [review.state for review in pull.get_reviews()] == ["APPROVED"]
