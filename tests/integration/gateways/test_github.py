from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from sandbox.github import Fault, SandboxGitHub
from supervisor.gateways.github import GitHub
from supervisor.github.errors import Unavailable
from supervisor.github.exchange import Answer, Request
from supervisor.web.proxies import Proxies

TOKEN = "made-up-secret-token"
LIST = Request("GET", "/orgs/acme/actions/runners?per_page=100", "list the runners")
REGISTER = Request(
    "POST",
    "/orgs/acme/actions/runners/generate-jitconfig",
    "register fleet-a",
    {"name": "fleet-a", "runner_group_id": 1, "labels": ["x"]},
)


@pytest.fixture
def sandbox() -> Iterator[SandboxGitHub]:
    with SandboxGitHub(org="acme", token=TOKEN) as server:
        yield server


@pytest.fixture
def github(sandbox: SandboxGitHub) -> Iterator[GitHub]:
    client = GitHub(f"{sandbox.url}/api/v3", Proxies())
    yield client
    client.close()


def test_an_answer_comes_with_its_status_headers_and_data(github: GitHub) -> None:
    answer = github.exchange(LIST, TOKEN)
    assert answer.status == 200
    assert answer.data == {"total_count": 0, "runners": []}
    assert answer.headers["x-ratelimit-resource"] == "core"
    assert answer.date is not None
    assert github.exchange(REGISTER, TOKEN).status == 201


def test_an_ipv6_address_is_asked_like_others() -> None:
    with SandboxGitHub(host="::1", org="acme", token=TOKEN) as server:
        assert GitHub(f"{server.url}/api/v3", Proxies()).exchange(LIST, TOKEN).status == 200


def test_an_unchanged_answer_is_asked_for_by_its_etag(github: GitHub) -> None:
    first = github.exchange(LIST, TOKEN)
    again = Request("GET", LIST.path, LIST.aim, etag=first.headers["etag"])
    assert github.exchange(again, TOKEN).status == 304


@pytest.mark.parametrize("status", [301, 401, 403, 404, 409, 422, 429, 500, 502, 503])
@pytest.mark.parametrize("request_", [LIST, REGISTER])
def test_a_refusal_is_an_answer_like_others_and_nothing_is_repeated(
    github: GitHub, sandbox: SandboxGitHub, status: int, request_: Request
) -> None:
    headers = {"retry-after": "60", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "9999999999"}
    fault = sandbox.faults.add(Fault(status=status, headers=headers, times=None))
    begun = time.monotonic()
    answer = github.exchange(request_, TOKEN)
    assert time.monotonic() - begun < 30
    assert (answer.status, answer.message) == (status, "The sandbox was told to fail.")
    assert sandbox.faults.hits(fault) == 1


@pytest.mark.parametrize("body", ["", "<html>login</html>", "{", "[" * 100_000])
def test_what_is_no_json_is_no_data(github: GitHub, sandbox: SandboxGitHub, body: str) -> None:
    sandbox.faults.add(Fault(status=200, body=body))
    assert github.exchange(LIST, TOKEN).data is None


@pytest.mark.parametrize("after", [True, False])
def test_a_cut_connection_is_an_error_and_nothing_is_repeated(
    github: GitHub, sandbox: SandboxGitHub, *, after: bool
) -> None:
    fault = sandbox.faults.add(Fault(drop_connection=True, after_processing=after, times=None))
    with pytest.raises(Unavailable, match="could not register fleet-a: GitHub can't be reached"):
        github.exchange(REGISTER, TOKEN)
    assert sandbox.faults.hits(fault) == 1
    assert len(sandbox.runners()) == after


def test_nobody_at_the_address_is_an_error_with_its_cause() -> None:
    with pytest.raises(Unavailable, match=r"GitHub can't be reached \(Connection refused\)"):
        GitHub("http://127.0.0.1:1/api/v3", Proxies()).exchange(LIST, TOKEN)


def test_a_name_that_is_not_known_is_an_error() -> None:
    with pytest.raises(Unavailable, match="GitHub can't be reached"):
        GitHub("https://github.invalid/api/v3", Proxies()).exchange(LIST, TOKEN)


def test_a_silent_server_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("supervisor.gateways.github._TIMEOUT_S", 1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        github = GitHub(f"http://127.0.0.1:{server.getsockname()[1]}/api/v3", Proxies())
        with pytest.raises(Unavailable, match="no answer within 1 s"):
            github.exchange(LIST, TOKEN)


def test_a_redirection_elsewhere_is_not_followed(github: GitHub, sandbox: SandboxGitHub) -> None:
    elsewhere = {"location": "http://127.0.0.2:1/orgs/acme"}
    sandbox.faults.add(Fault(status=301, headers=elsewhere))
    with pytest.raises(Unavailable, match="it points to another address"):
        github.exchange(LIST, TOKEN)


def test_a_server_without_tls_is_an_error(sandbox: SandboxGitHub) -> None:
    github = GitHub(sandbox.url.replace("http:", "https:"), Proxies())
    with pytest.raises(Unavailable, match="could not list the runners: GitHub can't be reached"):
        github.exchange(LIST, TOKEN)


def test_the_token_is_neither_in_errors_nor_in_what_they_hold(
    github: GitHub, sandbox: SandboxGitHub
) -> None:
    sandbox.faults.add(Fault(drop_connection=True))
    with pytest.raises(Unavailable) as caught:
        github.exchange(REGISTER, TOKEN)
    assert TOKEN not in repr(caught.value)
    assert TOKEN not in repr(github.exchange(REGISTER, TOKEN))


def test_the_requests_own_token_goes_before_the_sessions(sandbox: SandboxGitHub) -> None:
    github = GitHub(f"{sandbox.url}/api/v3", Proxies())
    asked = Request("GET", LIST.path, LIST.aim, jwt="another")
    assert github.exchange(asked, TOKEN).status == 401
    assert "another" not in repr(asked)
    answer: Answer = github.exchange(LIST, TOKEN)
    assert answer.status == 200


@pytest.mark.parametrize("number", ["1e400", "inf", "nan", "\u00b2", "9" * 5000, "x"])
def test_a_header_that_is_no_number_is_no_crash(
    github: GitHub, sandbox: SandboxGitHub, number: str
) -> None:
    names = ("x-ratelimit-remaining", "x-ratelimit-limit", "x-ratelimit-reset")
    sandbox.faults.add(Fault(status=403, headers=dict.fromkeys(names, number)))
    with pytest.raises(Unavailable, match="the answer can't be read"):
        github.exchange(LIST, TOKEN)


def test_an_answer_that_quotes_the_token_does_not_get_it_shown(
    github: GitHub, sandbox: SandboxGitHub
) -> None:
    sandbox.faults.add(Fault(status=403, message=f"what is Bearer {TOKEN}?"))
    assert github.exchange(LIST, TOKEN).message == "what is Bearer [secret]?"
