from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

import github as pygithub
import pytest
import requests
from waiting import eventually

from sandbox.github import Fault, SandboxGitHub

if TYPE_CHECKING:
    from conftest import Client

TOKEN = "made-up-token"

pytestmark = pytest.mark.usefixtures("broken_contract")

RUNNERS = "/orgs/acme/actions/runners"
JITCONFIG = f"{RUNNERS}/generate-jitconfig"
BODY = {"name": "one", "runner_group_id": 1, "labels": ["x"]}


def _pygithub(server: SandboxGitHub) -> pygithub.Github:
    return pygithub.Github(auth=pygithub.Auth.Token(TOKEN), base_url=server.url, retry=None)


def test_a_fault_strikes_as_often_as_ordered_and_only_there(
    client: Client, github: SandboxGitHub
) -> None:
    fault = github.faults.add(Fault("POST", "*/generate-jitconfig", status=502, times=2))
    assert client.ask("GET", RUNNERS).status_code == 200
    statuses = [client.ask("POST", JITCONFIG, json=BODY).status_code for _ in range(4)]
    assert statuses == [502, 502, 201, 409]
    assert github.faults.hits(fault) == 2


def test_an_answer_can_be_lost_after_the_deed(client: Client, github: SandboxGitHub) -> None:
    github.faults.add(Fault("POST", drop_connection=True, after_processing=True))
    with pytest.raises(requests.exceptions.ConnectionError):
        client.ask("POST", JITCONFIG, json=BODY)
    assert [runner.name for runner in github.runners()] == ["one"]
    assert client.ask("POST", JITCONFIG, json=BODY).status_code == 409


def test_a_connection_can_be_dropped_before_the_deed(client: Client, github: SandboxGitHub) -> None:
    github.faults.add(Fault("POST", drop_connection=True))
    with pytest.raises(requests.exceptions.ConnectionError):
        client.ask("POST", JITCONFIG, json=BODY)
    assert github.runners() == ()


def test_an_answer_can_be_replaced_after_the_deed(client: Client, github: SandboxGitHub) -> None:
    github.faults.add(Fault("POST", status=500, after_processing=True))
    assert client.ask("POST", JITCONFIG, json=BODY).status_code == 500
    assert len(github.runners()) == 1


def test_an_answer_can_be_late(client: Client, github: SandboxGitHub) -> None:
    github.faults.add(Fault("GET", delay_s=0.1))
    began = time.monotonic()
    assert client.ask("GET", RUNNERS).status_code == 200
    assert time.monotonic() - began >= 0.1


def test_a_request_can_be_held_until_the_fault_is_lifted(
    client: Client, github: SandboxGitHub
) -> None:
    fault = github.faults.add(Fault("POST", held=True))
    with ThreadPoolExecutor() as asking:
        asked = asking.submit(client.ask, "POST", JITCONFIG, json=BODY)
        eventually(lambda: github.faults.hits(fault), "it has come")
        assert client.ask("GET", RUNNERS).json()["total_count"] == 0
        assert not asked.done()
        github.faults.remove(fault)
        assert asked.result().status_code == 201


def test_an_answer_can_be_html(client: Client, github: SandboxGitHub) -> None:
    github.faults.add(Fault(status=200, body="<html>Unicorn!</html>"))
    assert client.ask("GET", RUNNERS).text == "<html>Unicorn!</html>"


def test_pygithub_knows_the_primary_rate_limit(github: SandboxGitHub) -> None:
    github.faults.add(Fault.rate_limited(github.hub.clock(), timedelta(minutes=5)))
    with pytest.raises(pygithub.RateLimitExceededException) as refused:
        _pygithub(github).get_organization("acme")
    assert refused.value.headers is not None
    assert refused.value.headers["x-ratelimit-remaining"] == "0"
    assert "x-ratelimit-reset" in refused.value.headers


def test_pygithub_knows_the_secondary_rate_limit(github: SandboxGitHub) -> None:
    github.faults.add(Fault.secondary_rate_limited(7))
    with pytest.raises(pygithub.RateLimitExceededException) as refused:
        _pygithub(github).get_organization("acme")
    assert refused.value.headers is not None
    assert refused.value.headers["retry-after"] == "7"


def test_a_rate_limit_can_come_as_429(client: Client, github: SandboxGitHub) -> None:
    github.faults.add(Fault.secondary_rate_limited(7, status=429))
    assert client.ask("GET", RUNNERS).status_code == 429


def test_a_rate_limit_need_not_say_when_to_come_back(client: Client, github: SandboxGitHub) -> None:
    github.faults.add(Fault.secondary_rate_limited(status=429))
    refused = client.ask("GET", RUNNERS)
    assert refused.status_code == 429
    assert "Retry-After" not in refused.headers


def test_an_answer_can_come_drop_by_drop(client: Client, github: SandboxGitHub) -> None:
    github.faults.add(Fault("GET", drip_s=0.5))
    began = time.monotonic()
    answer = client.ask("GET", RUNNERS, stream=True)
    first = answer.raw.read1()
    assert json.loads(first + answer.content) == {"total_count": 0, "runners": []}
    assert time.monotonic() - began >= 0.5
    assert len(first) < int(answer.headers["Content-Length"]), "it came at once"


def test_an_answer_can_be_cut_off(client: Client, github: SandboxGitHub) -> None:
    github.faults.add(Fault("POST", truncated=True))
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        client.ask("POST", JITCONFIG, json=BODY)
    assert len(github.runners()) == 1
    assert client.ask("GET", RUNNERS).status_code == 200


def test_a_fault_can_be_slow_and_an_error(client: Client, github: SandboxGitHub) -> None:
    github.faults.add(Fault(status=502, body="<html>Unicorn!</html>", delay_s=0.1, drip_s=0.1))
    began = time.monotonic()
    answer = client.ask("GET", RUNNERS)
    assert (answer.status_code, answer.text) == (502, "<html>Unicorn!</html>")
    assert time.monotonic() - began >= 0.2


def test_an_answer_can_point_to_another_host(client: Client, github: SandboxGitHub) -> None:
    github.faults.add(Fault.redirect("http://127.0.0.2:9/elsewhere"))
    answer = client.ask("GET", RUNNERS, allow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (301, "http://127.0.0.2:9/elsewhere")


def test_faults_can_be_lifted(client: Client, github: SandboxGitHub) -> None:
    fault = github.faults.add(Fault(status=500, times=None))
    other = github.faults.add(Fault(status=503, times=None))
    assert client.ask("GET", RUNNERS).status_code == 500
    github.faults.remove(fault)
    assert client.ask("GET", RUNNERS).status_code == 503
    assert github.faults.hits(other) == 1
    github.faults.clear()
    assert client.ask("GET", RUNNERS).status_code == 200
