from typing import Any

import pytest

from supervisor.blueprints import Blueprint, architecture, blueprint_of
from supervisor.config import parse


def blueprint(**changes: Any) -> Blueprint:
    given = {key.replace("_", "-"): value for key, value in changes.items()}
    return blueprint_of(parse({"name": "fleet", "path": "acme", "token": "s", **given}, "x"))


@pytest.mark.parametrize(
    ("machine", "word"),
    [("x86_64", "x64"), ("aarch64", "arm64"), ("riscv64", "riscv64")],
)
def test_the_architecture_is_named_as_github_does(
    monkeypatch: pytest.MonkeyPatch, machine: str, word: str
) -> None:
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert architecture() == word
    assert blueprint(labels="gpu").labels == ("self-hosted", "linux", word, "gpu")


def test_a_label_is_given_once_whatever_its_case() -> None:
    labels = blueprint(labels="gpu, Linux, GPU, gpu").labels
    assert labels == ("self-hosted", "linux", architecture(), "gpu")


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": "gpu"},
        {"vm_cpu": 3},
        {"vm_memory": "9GiB"},
        {"vm_disk": "9GiB"},
        {"group": "gpu"},
        {"lxd": {"image": "other"}},
        {"lxd": {"profile": "other"}},
        {"lxd": {"pool": "other"}},
        {"lxd": {"instance-type": "container"}},
    ],
)
def test_what_runners_are_made_from_makes_another_generation(changes: dict[str, Any]) -> None:
    assert blueprint(**changes).generation != blueprint().generation


@pytest.mark.parametrize(
    "changes", [{"virtual_machines": 9}, {"token": "t"}, {"reconcile_interval": "1m"}]
)
def test_what_they_are_not_made_from_keeps_the_generation(changes: dict[str, Any]) -> None:
    assert blueprint(**changes).generation == blueprint().generation


def test_a_host_that_can_filter_ipv6_makes_another_generation() -> None:
    config = parse({"name": "fleet", "path": "acme", "token": "s"}, "x")
    without = blueprint_of(config, ipv6_filtering=False)
    assert without.template.ipv6_filtering is False
    assert without.generation != blueprint_of(config, ipv6_filtering=True).generation
