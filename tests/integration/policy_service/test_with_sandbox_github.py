"""The service and the sandbox's GitHub, whose settings change as their owners would change them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from policy_stand import Service, running, settings_for
from policy_world import SHA, body

from sandbox.github import SandboxGitHub
from sandbox.github.settings import Protection, Reviews, Ruleset
from supervisor.policy_service.approval import ORDER

DEMO = "acme/demo"
FORK = "mallory/demo"
OF_FORK = body(source_repository_name=FORK)
OF_BRANCH = body(source_repository_name=DEMO)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[SandboxGitHub]:
    with SandboxGitHub(org="acme", token="made-up-token") as made:
        yield made


@pytest.fixture(scope="module")
def service(sandbox: SandboxGitHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    path = tmp_path_factory.mktemp("service")
    github = {"api_url": f"{sandbox.url}/api/v3", "credential": {"token": "made-up-token"}}
    with running(settings_for("", path, github=github), path) as made:
        yield made


def said(service: Service, event: str = "pull_request", **asked: str) -> str:
    answer = service.check(event, json=asked)
    assert answer.status_code in {204, 403}
    assert (answer.status_code == 204) == (answer.text == "")
    return answer.text


def test_a_repository_is_put_in_order_step_by_step(
    sandbox: SandboxGitHub, service: Service
) -> None:
    sandbox.set_repository(DEMO)
    assert "the target branch main is not protected" in said(service, **OF_BRANCH)
    sandbox.protect(DEMO, "main", Protection(reviews=None))
    assert "neither branch protection nor a ruleset" in said(service, **OF_BRANCH)
    sandbox.protect(DEMO, "main", Protection(Reviews(approvals=0)))
    assert "branch protection requires no approval" in said(service, **OF_BRANCH)
    sandbox.protect(DEMO, "main", Protection(Reviews(bypass_users=("eve",))))
    assert "can be bypassed by user eve" in said(service, **OF_BRANCH)
    sandbox.protect(DEMO, "main")
    assert said(service, **OF_BRANCH) == ""

    sandbox.set_collaborator(DEMO, "oscar", role="triage", affiliation="outside")
    for event in ("pull_request", "push", "schedule", "workflow_dispatch", "default"):
        assert "oscar (triage)" in said(service, event, **OF_BRANCH)
    sandbox.set_collaborator(DEMO, "oscar", role="read", affiliation="outside")
    assert said(service, "push", **OF_BRANCH) == ""

    pull = sandbox.open_pull(DEMO, f"{FORK}:feature")
    assert "nobody has approved" in said(service, **OF_FORK)
    sandbox.add_comment(DEMO, pull.number, "mallory", f"{ORDER} {SHA}")
    assert "have no write access: mallory" in said(service, **OF_FORK)
    sandbox.set_collaborator(DEMO, "dora", role="maintain")
    sandbox.add_comment(DEMO, pull.number, "dora", f"> {ORDER} {SHA}\n\nNo.")
    assert "have no write access: mallory" in said(service, **OF_FORK)
    sandbox.add_comment(DEMO, pull.number, "dora", f"{ORDER} {SHA}")
    assert said(service, **OF_FORK) == ""
    assert "nobody has approved" in said(service, **{**OF_FORK, "commit_sha": "f" * 40})
    sandbox.change_pull(DEMO, pull.number, state="closed")
    assert "there is no open pull request" in said(service, **OF_FORK)


def test_another_fork_s_branch_of_the_same_name_is_another_pull_request(
    sandbox: SandboxGitHub, service: Service
) -> None:
    repository = "acme/shared"
    sandbox.protect(repository, "main")
    sandbox.set_collaborator(repository, "dora")
    good = sandbox.open_pull(repository, "trudy/shared:feature")
    sandbox.open_pull(repository, "mallory/shared:feature")
    sandbox.add_comment(repository, good.number, "dora", f"{ORDER} {SHA}")
    mine = body(repository_name=repository, source_repository_name="mallory/shared")
    assert "nobody has approved" in said(service, **mine)
    assert said(service, **{**mine, "source_repository_name": "trudy/shared"}) == ""


def test_rulesets_protect_as_branch_protection_does(
    sandbox: SandboxGitHub, service: Service
) -> None:
    asked = {**OF_BRANCH, "repository_name": "acme/rules", "source_repository_name": "acme/rules"}
    sandbox.set_repository("acme/rules")
    team = {"actor_id": 9, "actor_type": "Team", "bypass_mode": "always"}
    for ruleset, words in (
        (Ruleset(enforcement="evaluate"), "is not protected"),
        (Ruleset(bypass_actors=(team,)), "can be bypassed by Team 9"),
        (Ruleset(bypass_actors=None), "is not shown to the service's credential"),
        (Ruleset(organization=True), ""),
    ):
        made = sandbox.add_ruleset("acme/rules", ruleset)
        assert words in said(service, **asked)
        if not words:
            assert said(service, **asked) == ""
        sandbox.remove_ruleset("acme/rules", made.id)


def test_a_branch_with_slashes_is_found(sandbox: SandboxGitHub, service: Service) -> None:
    sandbox.set_branch(DEMO, "release/1.0")
    sandbox.protect(DEMO, "release/1.0")
    assert said(service, **{**OF_BRANCH, "target_branch_name": "release/1.0"}) == ""


def test_what_the_credential_may_not_see_does_not_run(service: Service) -> None:
    asked = {"repository_name": "acme/nowhere"}
    answer = service.check("push", json=asked)
    assert answer.status_code == 403
    assert "there is no repository acme/nowhere, or the personal access token may not see it" in (
        answer.text
    )
