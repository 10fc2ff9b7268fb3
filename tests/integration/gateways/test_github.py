from __future__ import annotations

import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from sandbox.github import Fault, SandboxGitHub
from supervisor.gateways.github import GitHub, GitHubError, NameTaken, RunnerBusy

TOKEN = "made-up-secret-token"
JIT = "*/generate-jitconfig"


@pytest.fixture
def sandbox() -> Iterator[SandboxGitHub]:
    with SandboxGitHub(org="acme", token=TOKEN) as server:
        server.add_repository("acme/demo")
        yield server


@pytest.fixture
def github(sandbox: SandboxGitHub) -> Iterator[GitHub]:
    client = GitHub(sandbox.url, "acme", TOKEN)
    yield client
    client.close()


def always(sandbox: SandboxGitHub, status: int, body: str | None = None, **more: object) -> Fault:
    fault = Fault(status=status, body=body, times=None, **more)  # type: ignore[arg-type]
    return sandbox.faults.add(fault)


@pytest.mark.parametrize("path", ["acme", "acme/demo"])
def test_a_runner_is_registered_listed_and_deleted(sandbox: SandboxGitHub, path: str) -> None:
    github = GitHub(sandbox.url, path, TOKEN)
    number, encoded = github.register("fleet-aaaaaaaa", ("self-hosted", "linux"), 1)
    assert encoded
    (listed,) = github.registrations()
    assert (listed.id, listed.name, listed.online, listed.busy) == (
        number, "fleet-aaaaaaaa", False, False,
    )  # fmt: skip
    github.delete(number, "fleet-aaaaaaaa")
    assert github.registrations() == ()
    github.close()


def test_deleting_what_is_not_there_is_as_good_as_done(github: GitHub) -> None:
    github.delete(4711, "fleet-aaaaaaaa")


def test_a_name_is_registered_once(github: GitHub) -> None:
    github.register("fleet-aaaaaaaa", ("self-hosted",), 1)
    with pytest.raises(NameTaken, match="could not register fleet-aaaaaaaa: the name is taken"):
        github.register("fleet-aaaaaaaa", ("self-hosted",), 1)


def test_a_busy_runner_is_not_deleted(github: GitHub, sandbox: SandboxGitHub) -> None:
    always(sandbox, 422, method="DELETE")
    with pytest.raises(RunnerBusy, match="could not delete runner fleet-aaaaaaaa: it runs a job"):
        github.delete(1, "fleet-aaaaaaaa")


def test_all_pages_are_read(github: GitHub) -> None:
    made = {github.register(f"fleet-{n:08}", ("self-hosted",), 1)[0] for n in range(230)}
    assert {registration.id for registration in github.registrations()} == made


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (401, "the token is wrong"),
        (403, "may not do this"),
        (404, "no such path as acme"),
        (422, "GitHub answered 422"),
        (429, "limits the rate"),
        (500, "GitHub answered 500"),
        (503, "GitHub answered 503"),
    ],
)
def test_a_refusal_says_what_was_tried_and_what_may_help(
    github: GitHub, sandbox: SandboxGitHub, status: int, hint: str
) -> None:
    always(sandbox, status)
    with pytest.raises(GitHubError) as caught:
        github.register("fleet-aaaaaaaa", ("self-hosted",), 1)
    assert type(caught.value) is GitHubError
    assert str(caught.value).startswith("could not register fleet-aaaaaaaa: ")
    assert hint in str(caught.value)
    assert TOKEN not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("status", [401, 403, 404, 409, 422, 429, 500, 502, 503])
def test_a_registration_is_asked_for_once_and_never_repeated(
    github: GitHub, sandbox: SandboxGitHub, status: int
) -> None:
    fault = always(sandbox, status, path_pattern=JIT)
    with pytest.raises(GitHubError):
        github.register("fleet-aaaaaaaa", ("self-hosted",), 1)
    assert sandbox.faults.hits(fault) == 1


def test_a_registration_whose_answer_was_lost_is_not_repeated(
    github: GitHub, sandbox: SandboxGitHub
) -> None:
    fault = Fault(path_pattern=JIT, drop_connection=True, after_processing=True, times=None)
    sandbox.faults.add(fault)
    with pytest.raises(GitHubError, match="GitHub can't be reached"):
        github.register("fleet-aaaaaaaa", ("self-hosted",), 1)
    assert sandbox.faults.hits(fault) == 1
    assert len(sandbox.runners()) == 1  # the orphan that the reconcile finds


def test_a_deletion_is_not_repeated(github: GitHub, sandbox: SandboxGitHub) -> None:
    fault = always(sandbox, 502, method="DELETE")
    with pytest.raises(GitHubError):
        github.delete(1, "fleet-aaaaaaaa")
    assert sandbox.faults.hits(fault) == 1


def test_a_listing_survives_a_short_trouble(github: GitHub, sandbox: SandboxGitHub) -> None:
    sandbox.faults.add(Fault(status=502, times=1))
    sandbox.faults.add(Fault(drop_connection=True, times=1))
    assert github.registrations() == ()


def test_a_listing_gives_up_after_a_few_tries(github: GitHub, sandbox: SandboxGitHub) -> None:
    fault = always(sandbox, 503)
    with pytest.raises(GitHubError, match="could not list the runners"):
        github.registrations()
    assert sandbox.faults.hits(fault) == 3


@pytest.mark.parametrize(
    "fault",
    [
        Fault.secondary_rate_limited(60, times=None),
        Fault(status=429, headers={"retry-after": "60"}, times=None),
        Fault(status=403, headers={"x-ratelimit-remaining": "0", "x-ratelimit-reset": "9999999999"},
              message="API rate limit exceeded", times=None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("call", ["register", "list"])
def test_nothing_sleeps_until_a_rate_limit_is_over(
    github: GitHub, sandbox: SandboxGitHub, fault: Fault, call: str
) -> None:
    sandbox.faults.add(fault)
    begun = time.monotonic()
    calls = {
        "register": lambda: github.register("fleet-aaaaaaaa", ("self-hosted",), 1),
        "list": github.registrations,
    }
    with pytest.raises(GitHubError):
        calls[call]()
    assert time.monotonic() - begun < 3
    assert sandbox.faults.hits(fault) == 1


@pytest.mark.parametrize(
    "body", ["", "<html>login</html>", "{", "[]", "{}", "null", "7", '{"runners": [{}]}', '"x"']
)
def test_an_answer_that_github_would_not_give_is_an_error(
    github: GitHub, sandbox: SandboxGitHub, body: str
) -> None:
    always(sandbox, 200, body)
    with pytest.raises(GitHubError, match="could not list the runners: the answer can't be read"):
        github.registrations()
    with pytest.raises(GitHubError, match="could not register fleet-aaaaaaaa: the answer can't be"):
        github.register("fleet-aaaaaaaa", ("self-hosted",), 1)
    with pytest.raises(GitHubError, match="runner application"):
        github.application("x64")


def test_a_total_that_is_wrong_does_not_keep_the_listing_going(
    github: GitHub, sandbox: SandboxGitHub
) -> None:
    fault = always(sandbox, 200, '{"total_count": 1000000000, "runners": []}')
    assert github.registrations() == ()
    assert sandbox.faults.hits(fault) == 1


def test_nobody_at_the_address_is_an_error() -> None:
    github = GitHub("http://127.0.0.1:1", "acme", TOKEN)
    with pytest.raises(GitHubError, match="could not list the runners: GitHub can't be reached"):
        github.registrations()


def test_a_wrong_token_is_refused_and_not_shown(sandbox: SandboxGitHub) -> None:
    github = GitHub(sandbox.url, "acme", "ghp_wrongwrongwrong")
    with pytest.raises(GitHubError, match="the token is wrong, expired or revoked") as caught:
        github.registrations()
    assert "ghp_" not in str(caught.value)


def test_the_application_comes_with_its_checksum(tmp_path: Path) -> None:
    tarball = tmp_path / "actions-runner-linux-x64-2.300.0.tar.gz"
    tarball.write_bytes(b"an application")
    with SandboxGitHub(org="acme", token=TOKEN, tarball=tarball) as sandbox:
        application = GitHub(sandbox.url, "acme", TOKEN).application("x64")
    assert application.url.startswith("http")
    assert application.filename == tarball.name
    assert application.sha256 == sha256(b"an application").hexdigest()


@pytest.mark.parametrize("checksum", ["", ', "sha256_checksum": ""', ', "sha256_checksum": null',
                                      ', "sha256_checksum": "abc"'])  # fmt: skip
def test_an_application_that_can_not_be_verified_is_refused(
    github: GitHub, sandbox: SandboxGitHub, checksum: str
) -> None:
    offer = '"os": "linux", "architecture": "x64", "download_url": "http://x/r", "filename": "r.gz"'
    always(sandbox, 200, f"[{{{offer}{checksum}}}]", path_pattern="*/downloads")
    with pytest.raises(GitHubError, match=r"no SHA-256 for r\.gz: it can't be verified"):
        github.application("x64")


def test_an_architecture_without_an_application_is_named(github: GitHub) -> None:
    with pytest.raises(GitHubError, match="no runner application for linux on m68k"):
        github.application("m68k")
