"""Several releases of the runner application, and what can go wrong with their tarballs."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Any

import pytest
import requests

from sandbox.application import build_application
from sandbox.github import Fault, SandboxGitHub

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Client

LIST = "/orgs/acme/actions/runners/downloads"
PLACE = "/actions/runner/releases/*"


def _offered(client: Client, architecture: str = "x64") -> dict[str, Any]:
    offers: list[dict[str, Any]] = client.ask("GET", LIST).json()
    return next(o for o in offers if (o["os"], o["architecture"]) == ("linux", architecture))


def _get(url: str, **headers: str) -> requests.Response:
    return requests.get(url, headers=headers, timeout=10)


@pytest.fixture
def url(github: SandboxGitHub, tmp_path: Path) -> str:
    """Where the one release's tarball is."""
    return github.url + github.release(build_application(tmp_path, "1.0.0").path).path


def test_the_latest_release_is_offered_and_older_ones_are_there_still(
    client: Client, github: SandboxGitHub, tmp_path: Path
) -> None:
    first = build_application(tmp_path, "2.0.0")
    github.release(first.path)
    old = _offered(client)
    second = build_application(tmp_path, "2.1.0")
    github.release(second.path)
    new = _offered(client)
    assert (new["filename"], new["sha256_checksum"]) == (second.filename, second.sha256)
    for offer, application in ((old, first), (new, second)):
        content = _get(offer["download_url"]).content
        assert hashlib.sha256(content).hexdigest() == application.sha256
    assert [call.path.rsplit("/", 1)[1] for call in github.downloads()] == [
        first.filename,
        second.filename,
    ]


def test_another_architecture_is_offered_beside_it(
    client: Client, github: SandboxGitHub, tmp_path: Path
) -> None:
    here = build_application(tmp_path, "2.0.0")
    there = build_application(tmp_path, "2.1.0", "arm64")
    for application in (here, there):
        github.release(application.path)
    assert _offered(client)["filename"] == here.filename
    assert _offered(client, "arm64")["sha256_checksum"] == there.sha256


def test_a_list_is_not_sent_again_until_there_is_a_release(
    client: Client, github: SandboxGitHub, tmp_path: Path
) -> None:
    github.release(build_application(tmp_path, "2.0.0").path)
    known = {"If-None-Match": client.ask("GET", LIST).headers["ETag"]}
    assert client.ask("GET", LIST, headers=known).status_code == 304
    github.release(build_application(tmp_path, "2.1.0").path)
    assert client.ask("GET", LIST, headers=known).status_code == 200


@pytest.mark.parametrize(("announced", "listed"), [("", None), ("a" * 64, "a" * 64)])
def test_a_checksum_can_be_missing_or_another(
    client: Client, github: SandboxGitHub, tmp_path: Path, announced: str, listed: str | None
) -> None:
    github.release(build_application(tmp_path, "2.0.0").path, sha256=announced)
    assert _offered(client).get("sha256_checksum") == listed


def test_a_download_can_be_gone_on_with(github: SandboxGitHub, url: str) -> None:
    whole = _get(url)
    rest = _get(url, **{"Range": "bytes=100-", "If-Range": whole.headers["ETag"]})
    assert rest.status_code == 206
    assert rest.content == whole.content[100:]
    assert (
        rest.headers["Content-Range"] == f"bytes 100-{len(whole.content) - 1}/{len(whole.content)}"
    )
    assert [call.status for call in github.downloads()] == [200, 206]
    assert _get(url, **{"Range": "bytes=100-", "If-Range": '"another"'}).status_code == 200


def test_a_download_can_have_a_wrong_byte(github: SandboxGitHub, url: str) -> None:
    whole = _get(url).content
    github.faults.add(Fault("GET", PLACE, wrong_bytes=True))
    spoilt = _get(url).content
    assert len(spoilt) == len(whole)
    assert sum(a != b for a, b in zip(spoilt, whole, strict=True)) == 1


def test_a_download_can_be_cut_off(github: SandboxGitHub, url: str) -> None:
    github.faults.add(Fault("GET", PLACE, truncated=True))
    with pytest.raises(requests.exceptions.RequestException):
        _get(url)


def test_a_download_can_be_slow(github: SandboxGitHub, url: str) -> None:
    size = len(_get(url).content)
    github.faults.add(Fault("GET", PLACE, bytes_per_s=2 * size))
    begun = time.monotonic()
    assert len(_get(url).content) == size
    assert time.monotonic() - begun >= 0.5


def test_a_download_can_fail_or_be_elsewhere(github: SandboxGitHub, url: str) -> None:
    github.faults.add(Fault("GET", PLACE, status=500))
    assert _get(url).status_code == 500
    github.faults.add(Fault.redirect(url, path_pattern="/orgs/elsewhere"))
    assert (
        _get(f"{github.url}/orgs/elsewhere").headers["Content-Type"] == "application/octet-stream"
    )
    assert _get(f"{url}.asc").status_code == 404


def test_other_processes_can_publish_a_release(client: Client, tmp_path: Path) -> None:
    application = build_application(tmp_path, "3.0.0")
    answer = client.ask("POST", "/_sandbox/releases", json={"tarball": str(application.path)})
    assert answer.status_code == 201
    assert answer.json()["sha256"] == application.sha256 == _offered(client)["sha256_checksum"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        *(
            {"tarball": name}
            for name in (1, "runner.tar.gz", "actions-runner-linux-x64-1.0.0.tar.gz")
        ),
    ],
)
def test_what_is_no_tarball_is_not_published(client: Client, body: dict[str, Any]) -> None:
    assert client.ask("POST", "/_sandbox/releases", json=body).status_code == 422
