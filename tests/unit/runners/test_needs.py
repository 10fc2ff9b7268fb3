from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fake_actors import APPLICATION, guarded, image_of

from supervisor.config import Config, parse
from supervisor.host.storage import pool_name, wanted_bytes
from supervisor.messages.firewall import FirewallChanged
from supervisor.messages.image import ImageChanged
from supervisor.messages.policy import PolicyChanged
from supervisor.messages.storage import StorageChanged
from supervisor.messages.upgrades import ApplicationChanged
from supervisor.runners.needs import RunnerNeeds

SERVER = {"host": "10.5.0.7", "port": 10022, "rsa-fingerprint": f"SHA256:{'a' * 43}",
          "ed25519-fingerprint": f"SHA256:{'b' * 43}"}  # fmt: skip


def configured(**more: Any) -> Config:
    return parse({"name": "fleet", "path": "acme", "token": "t", **more}, "test")


def all_there(config: Config) -> RunnerNeeds:
    return RunnerNeeds(
        signals="http://10.1.2.1:8642",
        storage=StorageChanged(pool_name(config), wanted_bytes(config)),
        firewall=guarded(config),
        policy=PolicyChanged(healthy=True),
        application=ApplicationChanged(APPLICATION),
        image=image_of("f" * 64),
    )


def test_nothing_lacks_where_all_is_there() -> None:
    config = configured()
    assert all_there(config).lacking(config) == ""
    assert all_there(config).knows_blueprint(config)


def test_what_lacks_is_said_one_thing_at_a_time_until_all_is_there() -> None:
    config = configured(policy={"mode": "builtin"})
    needs, said = RunnerNeeds(), []
    for name in ("signals", "storage", "firewall", "application", "image", "policy"):
        said.append(needs.lacking(config))
        needs = replace(needs, **{name: getattr(all_there(config), name)})
    assert said == [
        "guests can't report yet",
        "the storage pool has not been looked at yet",
        "the firewall has not been looked at yet",
        "no verified runner application yet: none has been looked for yet",
        "the image has not been looked at yet",
        "the policy service has not been looked at yet",
    ]
    assert needs.lacking(config) == ""


@pytest.mark.parametrize(
    ("more", "lacking"),
    [
        ({"storage": StorageChanged("other", 2**60)}, "the storage pool is being made ready"),
        (
            {"firewall": FirewallChanged(in_place=True, filters_ipv6=True)},
            "the firewall is being changed to what is configured",
        ),
        ({"firewall": FirewallChanged(in_place=False, reason="no bridge")}, "no bridge"),
        (
            {"image": ImageChanged("f" * 64, instance_type="container")},
            "the image is being changed to what is configured",
        ),
    ],
)
def test_what_is_not_as_configured_lacks(more: dict[str, Any], lacking: str) -> None:
    config = configured()
    assert replace(all_there(config), **more).lacking(config) == lacking


def test_where_no_job_is_checked_no_policy_service_lacks() -> None:
    config = configured(policy={"mode": "off"})
    needs = replace(all_there(config), policy=PolicyChanged(healthy=False, reason="it is down"))
    assert needs.lacking(config) == ""


@pytest.mark.parametrize(
    "more",
    [
        {"application": ApplicationChanged(reason="none")},
        {"image": ImageChanged(reason="none")},
        {"firewall": FirewallChanged(in_place=True)},
    ],
)
def test_what_runners_are_made_from_is_not_known_until_all_of_it_is(more: dict[str, Any]) -> None:
    config = configured()
    assert not replace(all_there(config), **more).knows_blueprint(config)


def test_a_debug_server_that_runners_can_not_reach_is_left_out_once_that_is_known() -> None:
    config = configured(**{"ssh-debug": [SERVER]})
    there, not_looked_at = all_there(config), all_there(configured())
    out_of_reach = dict.fromkeys(there.firewall.servers, "it does not answer")
    without = replace(there, firewall=replace(there.firewall, servers=out_of_reach))
    assert not not_looked_at.knows_blueprint(config)
    assert without.knows_blueprint(config)
    assert without.blueprint(config).generation != there.blueprint(config).generation
    assert there.blueprint(config).generation == not_looked_at.blueprint(config).generation
