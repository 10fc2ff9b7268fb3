from __future__ import annotations

import hashlib
import json
from base64 import b64decode
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import requests

from sandbox.application import build_application
from sandbox.github import SandboxGitHub

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Client, NewClient

TOKEN = "made-up-token"

SCOPES = ("/orgs/acme", "/repos/acme/demo")


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("kind", ["registration", "remove"])
def test_a_token_for_config_sh_lives_an_hour(
    client: Client, github: SandboxGitHub, scope: str, kind: str
) -> None:
    answer = client.ask("POST", f"{scope}/actions/runners/{kind}-token")
    assert answer.status_code == 201
    expires_at = datetime.fromisoformat(answer.json()["expires_at"])
    left = expires_at - github.hub.clock()
    assert timedelta(minutes=59) < left <= timedelta(hours=1)
    again = client.ask("POST", f"{scope}/actions/runners/{kind}-token")
    assert again.json()["token"] != answer.json()["token"]


def test_the_configuration_holds_the_runners_three_files(
    client: Client, github: SandboxGitHub
) -> None:
    document = client.jitconfig("one")
    encoded = json.loads(b64decode(document["encoded_jit_config"]))
    files = {name: json.loads(b64decode(content)) for name, content in encoded.items()}
    assert set(files) == {".runner", ".credentials", ".credentials_rsaparams"}
    assert files[".runner"]["agentId"] == document["runner"]["id"]
    assert files[".runner"]["agentName"] == "one"
    assert files[".runner"]["serverUrl"] == github.url
    assert files[".runner"]["ephemeral"] is True
    assert files[".credentials"]["data"]["token"] == github.runners()[0].token


def test_the_application_is_offered_with_its_true_sum(
    new_client: NewClient, tmp_path: Path
) -> None:
    application = build_application(tmp_path)
    with SandboxGitHub(token=TOKEN, tarball=application.path) as github:
        offers = new_client(github.url).ask("GET", "/orgs/acme/actions/runners/downloads").json()
        mine = next(o for o in offers if (o["os"], o["architecture"]) == ("linux", "x64"))
        tarball = requests.get(mine["download_url"], timeout=10).content
    assert mine["filename"] == application.filename == mine["download_url"].rsplit("/", 1)[1]
    assert hashlib.sha256(tarball).hexdigest() == mine["sha256_checksum"] == application.sha256


def test_guests_are_told_the_address_that_is_theirs(new_client: NewClient, tmp_path: Path) -> None:
    tarball = build_application(tmp_path).path
    with SandboxGitHub(token=TOKEN, tarball=tarball, guest_url="http://10.1.2.3:80/") as github:
        client = new_client(github.url)
        offers = client.ask("GET", "/orgs/acme/actions/runners/downloads").json()
        encoded = json.loads(b64decode(client.jitconfig("one")["encoded_jit_config"]))
    assert json.loads(b64decode(encoded[".runner"]))["serverUrl"] == "http://10.1.2.3:80"
    assert all(offer["download_url"].startswith("http://10.1.2.3:80/") for offer in offers)


def test_a_tarball_without_a_version_in_its_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="VERSION"):
        SandboxGitHub(tarball=tmp_path / "runner.tar.gz")


def test_versions_are_never_retired(client: Client) -> None:
    answer = client.ask("GET", "/orgs/acme/actions/runners/deprecations/2.336.0").json()
    assert answer["runner_version"] == "2.336.0"
    assert answer["registration_deprecates_at"] is None
