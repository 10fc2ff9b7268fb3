"""The runner's own protocol: sessions, long polls, one job for one runner."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import aiohttp
import pytest
import requests

from sandbox.github import JobRequest, SandboxGitHub
from sandbox.github.hub import utc_now

if TYPE_CHECKING:
    from conftest import Client, NewClient

TOKEN = "made-up-token"

HELLO = JobRequest(script="echo hello\n", repository="acme/demo", name="greet")


class Runner:
    """A runner reduced to its protocol."""

    def __init__(
        self, client: Client, name: str, labels: tuple[str, ...] = ("self-hosted",)
    ) -> None:
        document = client.jitconfig(name, labels=labels)
        files = json.loads(b64decode(document["encoded_jit_config"]))
        self.token: str = json.loads(b64decode(files[".credentials"]))["data"]["token"]
        self.url = client.url
        self.id: int = document["runner"]["id"]

    def ask(self, method: str, path: str, body: str = "") -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token}"}
        url = f"{self.url}/_runner/{path}"
        return requests.request(method, url, data=body, headers=headers, timeout=20)

    def online(self) -> Runner:
        assert self.ask("POST", "session").status_code == 204
        return self


def test_a_job_goes_from_the_queue_to_its_end(client: Client, github: SandboxGitHub) -> None:
    runner = Runner(client, "one").online()
    job = github.queue(HELLO)
    text = runner.ask("GET", "job?wait=5").text
    head, _, script = text.partition("\n\n")
    assert dict(line.split("=", 1) for line in head.splitlines()) == {
        "id": str(job.id),
        "run-id": str(job.run_id),
        "repository": "acme/demo",
        "workflow": "demo",
        "job": "greet",
        "event": "push",
        "sha": job.sha,
        "ref": "refs/heads/main",
        "head-ref": "",
        "base-ref": "",
        "actor": "octocat",
        "always": "",
    }
    assert script == "echo hello\n"
    assert runner.ask("POST", f"job/{job.id}/started").status_code == 204
    assert github.job(job.id).status == "in_progress"
    run = client.ask("GET", f"/repos/acme/demo/actions/runs/{job.run_id}").json()
    assert run["status"] == "in_progress"
    report = "result=success\nlog=hello\nlog=\nlog=result=x\n"
    assert runner.ask("POST", f"job/{job.id}/completed", report).status_code == 204
    ended = github.job(job.id)
    assert (ended.status, ended.conclusion, ended.runner_name) == ("completed", "success", "one")
    assert ended.log == "hello\n\nresult=x\n"
    assert github.runners() == ()
    shown = client.ask("GET", f"/repos/acme/demo/actions/jobs/{job.id}").json()
    assert (shown["conclusion"], shown["runner_name"]) == ("success", "one")
    assert shown["runner_group_name"] == "Default"
    assert runner.ask("GET", "job?wait=0").status_code == 401


def test_a_runs_jobs_say_when_they_were_queued_and_begun_and_by_whom(
    client: Client, github: SandboxGitHub
) -> None:
    jobs = [github.queue(replace(HELLO, run_id=42, name=f"greet-{n}")) for n in range(3)]
    runner = Runner(client, "one").online()
    runner.ask("GET", "job?wait=5")
    assert runner.ask("POST", f"job/{jobs[0].id}/started").status_code == 204
    path = "/repos/acme/demo/actions/runs/42/jobs?filter=all&per_page=2"
    first = client.ask("GET", path)
    assert first.json()["total_count"] == 3
    begun, waits = first.json()["jobs"]
    assert (begun["runner_name"], waits["runner_name"]) == ("one", None)
    told = github.job(jobs[0].id)
    assert told.started_at is not None
    assert begun["created_at"] == f"{told.queued_at:%Y-%m-%dT%H:%M:%SZ}"
    assert begun["started_at"] == f"{told.started_at:%Y-%m-%dT%H:%M:%SZ}"
    assert 'rel="next"' in first.headers["Link"]
    (last,) = client.ask("GET", f"{path}&page=2").json()["jobs"]
    assert last["id"] == jobs[2].id
    assert client.ask("GET", f"{path}&filter=all").status_code == 200
    wrong = "/repos/acme/demo/actions/runs/42/jobs?filter=newest"
    assert client.ask("GET", wrong).status_code == 422


def test_a_runs_jobs_are_shown_to_who_may_read_actions(
    new_client: NewClient, github: SandboxGitHub
) -> None:
    job = github.queue(HELLO)
    path = f"/repos/acme/demo/actions/runs/{job.run_id}/jobs"
    github.add_token("reader", "read", permissions={"actions": "read"})
    github.add_token("picky", permissions={"organization_self_hosted_runners": "write"})
    assert new_client(github.url, "reader").ask("GET", path).status_code == 200
    refused = new_client(github.url, "picky").ask("GET", path)
    assert refused.status_code == 403
    assert refused.headers["X-Accepted-GitHub-Permissions"] == "actions=read"
    assert new_client(github.url, "reader").ask("GET", path[:-5] + "1/jobs").status_code == 404


def test_a_waiting_runner_gets_its_job_at_once(client: Client, github: SandboxGitHub) -> None:
    runner = Runner(client, "one").online()
    with ThreadPoolExecutor(1) as threads:
        poll = threads.submit(runner.ask, "GET", "job?wait=15")
        assert github.wait_for(lambda: bool(github.hub.polling()), 5)
        github.queue(HELLO)
        assert poll.result(5).status_code == 200


def test_a_poll_without_a_job_ends_empty(client: Client) -> None:
    runner = Runner(client, "one").online()
    assert runner.ask("GET", "job?wait=0.05").status_code == 204


@pytest.mark.parametrize("wait", ["x", "nan", "inf"])
def test_a_senseless_wait_is_refused(client: Client, wait: str) -> None:
    assert Runner(client, "one").online().ask("GET", f"job?wait={wait}").status_code == 400


def test_an_answer_that_was_lost_is_given_again(client: Client, github: SandboxGitHub) -> None:
    runner = Runner(client, "one").online()
    github.queue(HELLO)
    github.queue(HELLO)
    first = runner.ask("GET", "job?wait=0").text
    assert runner.ask("GET", "job?wait=0").text == first
    runner.ask("POST", "job/1/started")
    assert runner.ask("GET", "job?wait=0").status_code == 204


def test_a_job_goes_only_where_its_labels_are(client: Client, github: SandboxGitHub) -> None:
    plain = Runner(client, "plain").online()
    large = Runner(client, "large", ("Self-Hosted", "LARGE")).online()
    github.queue(JobRequest("true", "acme/demo", labels=("self-hosted", "large")))
    assert plain.ask("GET", "job?wait=0").status_code == 204
    assert large.ask("GET", "job?wait=0").status_code == 200


def test_a_job_of_another_organisation_waits(client: Client, github: SandboxGitHub) -> None:
    runner = Runner(client, "one").online()
    github.queue(JobRequest("true", "elsewhere/demo"))
    assert runner.ask("GET", "job?wait=0").status_code == 204


def test_a_second_session_conflicts_and_a_spent_one_is_refused(client: Client) -> None:
    runner = Runner(client, "one").online()
    assert runner.ask("POST", "session").status_code == 409
    assert runner.ask("DELETE", "session").status_code == 204
    assert runner.ask("POST", "session").status_code == 401


def test_a_session_whose_answer_was_lost_can_be_opened_again_by_its_name(client: Client) -> None:
    runner = Runner(client, "one")
    assert runner.ask("POST", "session", "session=abc\n").status_code == 204
    assert runner.ask("POST", "session", "session=abc\n").status_code == 204
    assert runner.ask("POST", "session", "session=def\n").status_code == 409


def test_a_deleted_runners_poll_ends_at_once(client: Client, github: SandboxGitHub) -> None:
    runner = Runner(client, "one").online()
    with ThreadPoolExecutor(1) as threads:
        poll = threads.submit(runner.ask, "GET", "job?wait=15")
        assert github.wait_for(lambda: bool(github.hub.polling()), 5)
        assert client.ask("DELETE", f"/orgs/acme/actions/runners/{runner.id}").status_code == 204
        assert poll.result(5).status_code == 401


def test_another_runners_job_is_not_its_own(client: Client, github: SandboxGitHub) -> None:
    runner, other = Runner(client, "one").online(), Runner(client, "two").online()
    github.queue(HELLO)
    runner.ask("GET", "job?wait=0")
    for call in ("started", "renew", "completed"):
        assert other.ask("POST", f"job/1/{call}", "result=success\n").status_code == 404
    assert github.job(1).status == "queued"


def test_a_report_without_a_result_is_refused(client: Client, github: SandboxGitHub) -> None:
    runner = Runner(client, "one").online()
    github.queue(HELLO)
    runner.ask("GET", "job?wait=0")
    for body in ("", "success", "result=perhaps\n"):
        assert runner.ask("POST", "job/1/completed", body).status_code == 400


def test_a_vanished_runners_job_fails_if_it_had_begun(
    new_client: NewClient, github: SandboxGitHub
) -> None:
    passed = [timedelta(0)]
    with SandboxGitHub(token=TOKEN, clock=lambda: utc_now() + passed[-1]) as server:
        client = new_client(server.url)
        begun, idle = Runner(client, "begun").online(), Runner(client, "handed-out").online()
        server.queue(HELLO)
        server.queue(HELLO)
        begun.ask("GET", "job?wait=0")
        begun.ask("POST", "job/1/started")
        idle.ask("GET", "job?wait=0")
        passed.append(timedelta(minutes=1))
        assert server.wait_for(lambda: not any(r.online for r in server.runners()), 5)
        assert server.job(1).conclusion == "failure"
        assert "lost communication" in server.job(1).log
        assert server.job(2).waits_for_a_runner
        assert [runner.name for runner in server.runners()] == ["handed-out"]
        rescuer = Runner(client, "rescuer").online()
        assert rescuer.ask("GET", "job?wait=0").text.startswith("id=2\n")


def test_config_sh_can_register_and_remove(client: Client, github: SandboxGitHub) -> None:
    def token(kind: str) -> dict[str, str]:
        made = client.ask("POST", f"/orgs/acme/actions/runners/{kind}-token").json()["token"]
        return {"Authorization": f"Bearer {made}"}

    def ask(method: str, body: str, headers: dict[str, str]) -> int:
        url = f"{github.url}/_runner/registration"
        return requests.request(method, url, data=body, headers=headers, timeout=5).status_code

    body = f"url={github.url}/acme\nname=one\nlabels=big, fast\nephemeral=true\n"
    assert ask("POST", body, token("remove")) == 401
    assert ask("POST", body.replace("/acme", "/other"), token("registration")) == 404
    assert ask("POST", body, token("registration")) == 201
    assert ask("POST", body, token("registration")) == 409
    assert ask("POST", body + "replace=true\n", token("registration")) == 201
    (runner,) = github.runners()
    assert [label.name for label in runner.labels] == [
        *("self-hosted", "Linux", "X64"),
        *("big", "fast"),
    ]
    assert ask("DELETE", "name=other\n", token("remove")) == 404
    assert ask("DELETE", "name=one\n", token("remove")) == 204
    assert github.runners() == ()


def test_a_thousand_runners_wait_at_once_and_each_job_goes_to_one(github: SandboxGitHub) -> None:
    count = 1000
    with github.hub.change() as state:
        scope = state.directory.scope("acme")
        assert scope is not None
        tokens = [
            state.register(scope, f"r{number}", (), github.hub.clock()).token
            for number in range(count)
        ]

    async def one(session: aiohttp.ClientSession, token: str) -> str:
        headers = {"Authorization": f"Bearer {token}"}
        async with session.post(f"{github.url}/_runner/session", headers=headers) as answer:
            assert answer.status == 204
        async with session.get(f"{github.url}/_runner/job?wait=30", headers=headers) as answer:
            assert answer.status == 200
            return (await answer.text()).partition("\n")[0]

    async def everyone() -> list[str]:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            polls = [asyncio.create_task(one(session, token)) for token in tokens]
            await asyncio.to_thread(github.wait_for, lambda: len(github.hub.polling()) == count, 20)
            for _ in range(count):
                github.queue(JobRequest("true", "acme/demo", labels=()))
            return await asyncio.gather(*polls)

    handed_out = Counter(asyncio.run(everyone()))
    assert len(handed_out) == count
    assert set(handed_out.values()) == {1}
    assert len({job.runner_id for job in github.jobs()}) == count
