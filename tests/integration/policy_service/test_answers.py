"""The API: the same requests and answers as canonical/repo-policy-compliance."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from policy_stand import CHARM, GitHub, Service, running, settings_for
from policy_world import REPOSITORY, SHA, body

BRANCH = {"repository_name": REPOSITORY}
MALLORY = {"login": "mallory", "role_name": "write"}


def test_a_job_that_may_run_gets_a_204_without_a_body(service: Service) -> None:
    for event, asked in (
        ("pull_request", body()),
        ("push", BRANCH),
        ("default", BRANCH),
        ("schedule", BRANCH),
        ("workflow_dispatch", {**BRANCH, "more": "is let be"}),
    ):
        answer = service.check(event, json=asked)
        assert (answer.status_code, answer.content) == (204, b""), event
    old = service.call("POST", "/check-run", service.token(), json=body())
    assert old.status_code == 204
    assert [one["verdict"] for one in service.decisions()] == ["pass"] * 6


def test_one_that_may_not_gets_a_403_with_the_reason_and_it_is_logged(
    service: Service, github: GitHub
) -> None:
    github.world.outside.append(MALLORY)
    answer = service.check("push", json=BRANCH)
    assert answer.status_code == 403
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "mallory (write)" in answer.text
    (logged,) = service.decisions()
    assert logged["reason"] == answer.text
    assert (logged["runner"], logged["repository"]) == ("runner-1", REPOSITORY)
    assert (logged["event"], logged["verdict"], logged["github_calls"]) == ("push", "fail", 1)
    assert 0 <= logged["duration_ms"] < 20_000
    assert datetime.fromisoformat(logged["time"]) <= datetime.now(timezone.utc)


def test_the_endpoint_that_always_fails_does(service: Service) -> None:
    answer = service.call("POST", "/always-fail/check-run", service.token())
    assert answer.status_code == 403
    assert answer.text == "Endpoint designed for testing that always fails"


def test_health_tells_whether_github_answers_and_takes_the_credential(
    service: Service, github: GitHub, tmp_path: Path
) -> None:
    assert service.call("GET", "/health", None).status_code == 204
    github.authorized.clear()
    with running(settings_for(github.url, tmp_path / "x"), _made(tmp_path / "x")) as other:
        answer = other.call("GET", "/health", None)
    assert answer.status_code == 500
    assert "it is wrong, expired or revoked" in answer.text


def _made(path: Path) -> Path:
    path.mkdir()
    return path


def test_health_waits_but_shortly_for_a_github_that_hangs(github: GitHub, tmp_path: Path) -> None:
    github.fault = github.hang
    with running(settings_for(github.url, tmp_path), tmp_path) as service:
        answer = service.call("GET", "/health", None)
    assert answer.status_code == 500
    assert answer.elapsed < timedelta(seconds=10)


def test_a_policy_holds_for_all_workers_from_the_next_check_on(
    github: GitHub, tmp_path: Path
) -> None:
    with running(settings_for(github.url, tmp_path), tmp_path) as service:
        _set_policies(service, github)


def _set_policies(service: Service, github: GitHub) -> None:
    github.world.outside.append(MALLORY)
    off = {"push": {"collaborators": {"enabled": False}}}
    assert service.call("POST", "/policy", CHARM, json=off).status_code == 204
    assert {service.check("push", json=BRANCH).status_code for _ in range(8)} == {204}
    assert service.check("schedule", json=BRANCH).status_code == 403
    for wrong in ({"pushh": {}}, [], "null", {"push": {"collaborators": {}}}):
        answer = service.call("POST", "/policy", CHARM, json=wrong)
        assert answer.status_code == 400
        assert answer.text.startswith("invalid policy document, exc=")
    assert service.check("push", json=BRANCH).status_code == 204


def test_the_policy_of_the_settings_holds_at_the_start(github: GitHub, tmp_path: Path) -> None:
    github.world.outside.append(MALLORY)
    policy = {"push": {"collaborators": {"enabled": False}}}
    with running(settings_for(github.url, tmp_path, policy=policy), tmp_path) as service:
        assert service.check("push", json=BRANCH).status_code == 204


def test_what_is_unchanged_costs_no_call_of_the_budget_and_a_change_is_seen_at_once(
    github: GitHub, tmp_path: Path
) -> None:
    with running(settings_for(github.url, tmp_path), tmp_path, "--workers", "1") as service:
        assert service.check().status_code == 204
        asked = len(github.answered)
        assert service.check().status_code == 204
        assert set(github.answered[asked:]) == {304}
        github.world.outside.append(MALLORY)
        assert service.check().status_code == 403
        github.world.outside.remove(MALLORY)
        github.world.comments.clear()
        assert service.check().status_code == 403


@pytest.fixture(scope="module")
def key() -> str:
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.PrivateFormat.PKCS8
    encoding = serialization.Encoding.PEM
    return made.private_bytes(encoding, form, serialization.NoEncryption()).decode()


@pytest.fixture
def as_app(github: GitHub, tmp_path: Path, key: str) -> Iterator[Service]:
    app = {"app": {"id": 7, "installation_id": 8, "private_key": key}}
    settings = settings_for(github.url, tmp_path, github={"credential": app})
    with running(settings, tmp_path, "--workers", "1") as service:
        yield service


def installation(token: str) -> tuple[int, Any]:
    expires = (datetime.now(timezone.utc) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return 201, {"token": token, "expires_at": expires, "permissions": {"administration": "read"}}


def test_an_app_asks_with_its_installation_s_token_and_gets_another_when_it_is_refused(
    as_app: Service, github: GitHub
) -> None:
    github.authorized = {"Bearer ghs_one"}
    github.installation = installation("ghs_one")
    assert [as_app.check().status_code for _ in range(3)] == [204] * 3
    address = "/app/installations/8/access_tokens"
    assert github.asked.count(address) == 1
    assert github.signed_with.count(".") == 2  # a JWT
    github.authorized = {"Bearer ghs_two"}
    github.installation = installation("ghs_two")
    assert as_app.check().status_code == 204
    assert github.asked.count(address) == 2


@pytest.mark.parametrize(
    "answer", [(404, {"message": "Not Found"}), (500, None), (201, {}), (201, {"token": ""})]
)
def test_an_app_that_gets_no_token_lets_nothing_pass(
    as_app: Service, github: GitHub, answer: tuple[int, Any]
) -> None:
    github.installation = answer
    refused = as_app.check()
    assert refused.status_code == 500
    assert "installation 8 of GitHub App 7" in refused.text


def test_no_secret_is_in_the_log_the_arguments_or_the_environment(
    service: Service, github: GitHub
) -> None:
    github.fault = lambda handler: handler.send_raw(500, b"ghp_tokenofthetests") or True
    token = service.token()
    answer = service.call("POST", "/check-run", token, json=body(commit_sha=SHA))
    pids = [service.process.pid, *service.workers]
    shown = [answer.text, (service.directory / "service.log").read_text()]
    shown += [(service.directory / "decisions.jsonl").read_text()]
    shown += [
        Path(f"/proc/{pid}/{what}").read_text() for pid in pids for what in ("cmdline", "environ")
    ]
    for text in shown:
        assert not [one for one in ("ghp_", CHARM, token, "MDEyMzQ1Njc4") if one in text]
