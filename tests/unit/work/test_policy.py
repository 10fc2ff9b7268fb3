from __future__ import annotations

import json
import os
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from fake_world import World, make_world

from supervisor.causes import Cause
from supervisor.config import Config, ConfigError, parse
from supervisor.gateways.lxd import LxdUnavailable
from supervisor.github.credential import AppKey, PersonalToken
from supervisor.policy import secrets as policy_secrets
from supervisor.policy.secrets import Secret
from supervisor.policy.settings import Told
from supervisor.policy_service import settings
from supervisor.work import policy as policy_work
from supervisor.work.policy import NotServed, check, ensure

__all__ = ["make_world"]

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)
PROBES = Secret(b"p" * 32, NOW)
RING = (Secret(b"n" * 32, NOW), Secret(b"o" * 32, NOW))


def config(**given: Any) -> Config:
    keys = {key.replace("_", "-"): value for key, value in given.items()}
    return parse({"name": "fleet", "path": "acme", "token": "ghp_secret", **keys}, "x")


def told(credential: Any = None, document: Any = None, **given: Any) -> Told:
    credential = credential or PersonalToken("ghp_secret")
    return Told(config(**given), credential, document, RING, Path("/state/policy"))


# What the service is told


def test_the_service_reads_what_it_is_told() -> None:
    proxies = {"https_proxy": "http://me:pass@10.0.0.9:3128", "no_proxy": "10.0.0.0/8"}
    document = {"push": {"collaborators": {"enabled": False}}}
    text = told(document=document, **proxies).settings("charm", PROBES)
    read = settings.parse(text.encode())
    assert read.api_url == "https://api.github.com"
    assert read.credential == PersonalToken("ghp_secret")
    assert read.proxies == config(**proxies).proxies
    assert read.token_secrets == (b"n" * 32, b"o" * 32, b"p" * 32)
    assert (read.charm_token, read.policy) == ("charm", document)
    assert read.decisions == Path("/state/policy/decisions.jsonl")


@pytest.mark.parametrize(
    ("path", "scope"),
    [("acme", "acme"), ("acme/demo", "acme/demo"), ("enterprises/acme", None)],
)
def test_the_service_is_told_whose_jobs_may_run(path: str, scope: str | None) -> None:
    read = settings.parse(told(path=path).settings("charm", PROBES).encode())
    assert read.scope == scope
    assert told(path=path).made_from("a") != told(path="other").made_from("a")


def test_the_service_reads_an_apps_credential() -> None:
    app = AppKey("Iv23li", 678, "-----BEGIN\nKEY\n-----END\n")
    text = told(app, github_url="https://github.example").settings("charm", PROBES)
    read = settings.parse(text.encode())
    assert read.credential == app
    assert read.api_url == "https://github.example/api/v3"


def test_what_may_stand_in_no_log_is_known() -> None:
    secrets = told(https_proxy="http://me:pass@10.0.0.9:3128").secrets()
    assert {"ghp_secret", "pass", RING[0].encoded} <= set(secrets)
    app = AppKey("Iv23li", 678, "-----BEGIN\nKEY\n-----END\n")
    assert "KEY" in told(app).secrets()
    assert "" not in told(app).secrets()


def test_what_makes_no_difference_needs_no_other_process_and_the_rest_does() -> None:
    made = told().made_from("http://a:1")
    assert told(labels="gpu").made_from("http://a:1") == made
    others = [
        told().made_from("http://a:2"),
        told(PersonalToken("other")).made_from("http://a:1"),
        told(document={}).made_from("http://a:1"),
        told(policy={"workers": 3}).made_from("http://a:1"),
        told(http_proxy="http://10.0.0.9:3128").made_from("http://a:1"),
        told(virtual_machines=30).made_from("http://a:1"),
    ]
    assert made not in others
    assert len(set(others)) == len(others)


@pytest.mark.parametrize(("runners", "threads"), [(0, 64), (8, 64), (20, 160), (1000, 512)])
def test_each_guest_may_take_its_share_of_threads(runners: int, threads: int) -> None:
    assert told(virtual_machines=runners).threads == threads


# What is checked before anything starts


def test_what_the_settings_name_is_right() -> None:
    check(config())
    check(config(policy={"mode": "off"}))
    check(config(policy={"mode": "external", "url": "http://10.0.0.9", "token": "s"}))


def refusal(**policy: Any) -> str:
    given = {key.replace("_", "-"): value for key, value in policy.items()}
    with pytest.raises(ConfigError) as caught:
        check(config(policy=given))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_document_that_can_not_be_used_is_said(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    missing = f"policy.document: {path}: can't be read: No such file or directory"
    assert refusal(document=str(path)) == missing
    path.write_text("push: [")
    assert refusal(document=str(path)).startswith(f"policy.document: {path}: line 1, column 8: ")
    path.write_text("pull: {}")
    assert refusal(document=str(path)).startswith(f"policy.document: {path}: the document: has no")
    path.write_text('{"push": {"collaborators": {"enabled": true}}}')
    check(config(policy={"document": str(path)}))


def test_a_user_that_this_host_has_not_is_said() -> None:
    assert refusal(user="nobody-we-know") == "policy.user: this host has no user nobody-we-know"


def test_a_token_file_for_a_service_elsewhere_is_read(tmp_path: Path) -> None:
    path = tmp_path / "token"
    external = {"mode": "external", "url": "http://10.0.0.9", "token_file": str(path)}
    missing = f"policy.token-file: {path}: can't be read: No such file or directory"
    assert refusal(**external) == missing
    path.touch(mode=0o600)
    assert refusal(**external) == f"policy.token-file: {path}: is empty"
    path.write_text("two words")
    said = refusal(**external)
    assert said.startswith(f"policy.token-file: {path}: must be one line")
    assert "two words" not in said
    path.chmod(0o644)
    assert "open to others (mode 0644)" in refusal(**external)


# What keeps it from being started


def serve(world: World) -> Any:
    parts = world.parts
    return ensure(parts.lxd, parts.policy, parts.settings.config, NOW, lambda _: None)


def test_without_lxd_its_address_is_not_known(make_world: Any) -> None:
    world = make_world(policy={"mode": "builtin"})
    world.lxd.fail("bridge_address", LxdUnavailable("LXD is not running"))
    assert serve(world) == NotServed("LXD is not running", Cause.LXD_UNAVAILABLE)


def test_only_root_can_give_it_to_another_user(
    make_world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(policy={"mode": "builtin", "user": "nobody"})
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    found = serve(world)
    assert isinstance(found, NotServed)
    assert found.reason.startswith("policy.user: only a daemon that is root can run the policy")


def test_what_another_user_has_left_is_not_taken_over(make_world: Any) -> None:
    """That user could have put links there."""
    world = make_world(policy={"mode": "builtin"})
    own = world.state / "policy"
    own.mkdir(parents=True)
    os.chown(own, 65534, 65534)
    found = serve(world)
    assert isinstance(found, NotServed)
    assert found.reason.endswith(f"as policy.user is not set any more: chown -R 0 {own}")
    world.reconfigure(policy={"mode": "builtin", "user": "daemon"})
    assert serve(world) == NotServed(f"{own} is not policy.user's: chown -R daemon {own}")
    assert own.stat().st_uid == 65534


def test_a_directory_that_can_not_be_made_is_said(make_world: Any) -> None:
    world = make_world(policy={"mode": "builtin"})
    world.state.parent.mkdir(exist_ok=True)
    world.state.write_text("a file in its place")
    found = serve(world)
    assert isinstance(found, NotServed)
    assert str(world.state) in found.reason


def test_secrets_on_the_disk_are_used_again_and_broken_ones_replaced(make_world: Any) -> None:
    world = make_world(policy={"mode": "builtin"})
    path = world.state / "policy-secrets"
    first = policy_work._renew(path, NOW, world.parts.settings.config.token_lifetime)
    assert path.stat().st_mode & 0o777 == 0o600
    assert policy_work._renew(path, NOW, world.parts.settings.config.token_lifetime) == first
    path.write_text(json.dumps({"secret": "a-wrong-value"}))
    second = policy_work._renew(path, NOW, world.parts.settings.config.token_lifetime)
    assert second != first
    assert policy_secrets.read(path.read_text()) == second
    assert any("tokens that guests have are void" in line for line in world.logged)
    assert not any("a-wrong-value" in line for line in world.logged)
