from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.runners.instances import InstanceTemplate, generation, instance_request

_WORDS = st.text(min_size=1, max_size=20)
_TEMPLATES = st.builds(
    InstanceTemplate,
    type=st.sampled_from(["virtual-machine", "container"]),
    image=_WORDS,
    pool=_WORDS,
    network=_WORDS,
    profiles=st.lists(_WORDS, max_size=3).map(tuple),
    cpu=st.integers(1, 1024),
    memory=_WORDS,
    disk=_WORDS,
    ipv6_filtering=st.booleans(),
)
_METADATA = st.dictionaries(_WORDS.map(lambda word: f"user.{word}"), st.text())


def _request(template: InstanceTemplate, **metadata: str) -> dict[str, Any]:
    return instance_request(template, name="one", user_data="echo", metadata=metadata)


@given(_TEMPLATES, _WORDS, st.text(), _METADATA)
def test_a_request_says_all_that_was_asked_for(
    template: InstanceTemplate, name: str, user_data: str, metadata: dict[str, str]
) -> None:
    request = instance_request(template, name=name, user_data=user_data, metadata=metadata)

    assert request["name"] == name
    assert request["type"] == template.type
    assert request["source"] == {"type": "image", "fingerprint": template.image}
    assert request["profiles"] == list(template.profiles)
    assert metadata.items() <= request["config"].items()
    assert request["config"]["cloud-init.user-data"] == user_data
    assert request["config"]["limits.cpu"] == str(template.cpu)
    assert request["config"]["limits.memory"] == template.memory
    assert request["devices"]["root"] == {
        "type": "disk",
        "path": "/",
        "pool": template.pool,
        "size": template.disk,
    }
    assert request["devices"]["eth0"]["network"] == template.network
    assert json.loads(json.dumps(request)) == request


@given(_TEMPLATES, _METADATA)
def test_every_instance_is_throw_away_and_keeps_its_secrets(
    template: InstanceTemplate, metadata: dict[str, str]
) -> None:
    request = instance_request(template, name="one", user_data="", metadata=metadata)

    assert request["ephemeral"] is True
    assert request["config"]["boot.autostart"] == "false"
    assert request["config"]["security.devlxd"] == "false"


@given(_TEMPLATES)
def test_a_port_of_the_bridge_takes_what_is_its_instances_own_and_nothing_for_neighbours(
    template: InstanceTemplate,
) -> None:
    filters = {
        "security.mac_filtering",
        "security.ipv4_filtering",
        "security.ipv6_filtering",
        "security.port_isolation",
    }
    device = _request(replace(template, ipv6_filtering=True))["devices"]["eth0"]
    without_netfilter = _request(replace(template, ipv6_filtering=False))["devices"]["eth0"]

    assert device.items() >= dict.fromkeys(filters, "true").items()
    assert device.keys() - without_netfilter.keys() == {"security.ipv6_filtering"}


@given(_TEMPLATES)
def test_each_type_gets_only_the_keys_that_lxd_takes_for_it(template: InstanceTemplate) -> None:
    machine = _request(replace(template, type="virtual-machine"))
    container = _request(replace(template, type="container"))

    assert set(machine["config"]) - set(container["config"]) == {"security.secureboot"}
    assert set(container["config"]) - set(machine["config"]) == {"security.privileged"}
    assert set(machine["devices"]) - set(container["devices"]) == {"cloud-init"}


@given(_TEMPLATES, _WORDS)
def test_metadata_cannot_change_how_an_instance_is_made(
    template: InstanceTemplate, word: str
) -> None:
    with pytest.raises(ValueError, match=r"must start with user\."):
        _request(template, **{f"security.{word}": "x", "user.fine": "x"})


@given(_TEMPLATES, st.lists(_WORDS))
def test_a_generation_is_short_and_the_same_each_time(
    template: InstanceTemplate, extra: list[str]
) -> None:
    made = generation(template, *extra)

    assert made == generation(replace(template), *extra)
    assert len(made) == 12
    assert set(made) <= set("0123456789abcdef")


@given(_TEMPLATES, _TEMPLATES, st.lists(_WORDS), st.lists(_WORDS))
def test_two_generations_are_equal_only_if_all_is(
    one: InstanceTemplate, other: InstanceTemplate, extra: list[str], more: list[str]
) -> None:
    same = (one, extra) == (other, more)

    assert (generation(one, *extra) == generation(other, *more)) is same


@pytest.mark.parametrize("name", [field.name for field in fields(InstanceTemplate)])
def test_every_setting_makes_another_generation(name: str) -> None:
    template = InstanceTemplate("container", "i", "p", "n", ("a",), 1, "1GiB", "2GiB")
    others: dict[str, Any] = {
        "type": "virtual-machine",
        "profiles": ("a", "b"),
        "cpu": 2,
        "ipv6_filtering": False,
    }

    changed = replace(template, **{name: others.get(name, "other")})

    assert generation(changed) != generation(template)


def test_the_order_and_division_of_what_else_counts_matter() -> None:
    template = InstanceTemplate("container", "i", "p", "n", (), 1, "1GiB", "2GiB")

    made = {generation(template, *extra) for extra in (["a", "b"], ["b", "a"], ["ab"], ["a,b"])}

    assert len(made) == 4
