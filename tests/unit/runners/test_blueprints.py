from typing import Any

import pytest

from supervisor.config import parse
from supervisor.runners.blueprints import Blueprint, architecture, blueprint_of
from supervisor.web.proxies import Proxies, Proxy

PROXY = "http://user:word@proxy.example.com:3128"
AT = "http://10.0.0.9:3128"
SERVER = {
    "host": "10.0.0.7",
    "port": 22,
    "rsa-fingerprint": "SHA256:" + "r" * 43,
    "ed25519-fingerprint": "SHA256:" + "e" * 43,
}


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
        {"lxd": {"profile": "other"}},
        {"lxd": {"pool": "other"}},
        {"lxd": {"instance-type": "container"}},
        {"http_proxy": PROXY},
        {"https_proxy": PROXY},
        {"use_aproxy": True, "http_proxy": AT},
        {"dockerhub_mirror": "https://mirror.example.com"},
        {"ssh_debug": [SERVER]},
    ],
)
def test_what_runners_are_made_from_makes_another_generation(changes: dict[str, Any]) -> None:
    assert blueprint(**changes).generation != blueprint().generation


def test_another_image_makes_another_generation_whatever_its_alias() -> None:
    config = parse({"name": "fleet", "path": "acme", "token": "s"}, "x")
    renamed = parse({"name": "fleet", "path": "acme", "token": "s", "lxd": {"image": "b"}}, "x")
    made = blueprint_of(config, image="a" * 64)
    assert made.template.image == "a" * 64
    assert made.generation != blueprint_of(config, image="b" * 64).generation
    assert made.generation == blueprint_of(renamed, image="a" * 64).generation


@pytest.mark.parametrize(
    ("before", "changes"),
    [
        ({"http_proxy": PROXY}, {"http_proxy": PROXY.replace("word", "other")}),
        ({"http_proxy": PROXY}, {"no_proxy": "a.example"}),
        ({"dockerhub_mirror": "https://a"}, {"dockerhub_mirror": "https://b"}),
        ({"ssh_debug": [SERVER]}, {"ssh_debug": [{**SERVER, "port": 23}]}),
        ({"ssh_debug": [SERVER]}, {"ssh_debug": []}),
        ({"use_aproxy": True, "http_proxy": AT}, {"use_aproxy": False}),
        ({"use_aproxy": True, "http_proxy": AT}, {"aproxy_redirect_ports": "80"}),
        ({"use_aproxy": True, "http_proxy": AT}, {"aproxy_exclude_addresses": "10.0.0.0/8"}),
        ({"use_aproxy": True, "http_proxy": AT}, {"http_proxy": "http://10.0.0.9:3129"}),
    ],
)
def test_what_guests_are_told_of_the_network_makes_another_generation(
    before: dict[str, Any], changes: dict[str, Any]
) -> None:
    assert blueprint(**before).generation != blueprint(**{**before, **changes}).generation


@pytest.mark.parametrize(
    "changes",
    [
        {"virtual_machines": 9},
        {"token": "t"},
        {"reconcile_interval": "1m"},
        {"no_proxy": "a.example"},
        {"aproxy_redirect_ports": "80"},
        {"aproxy_exclude_addresses": "10.0.0.0/8"},
        {"denylist": "10.0.0.0/8"},
        {"allowlist": "10.0.0.0/8"},
    ],
)
def test_what_they_are_not_made_from_keeps_the_generation(changes: dict[str, Any]) -> None:
    assert blueprint(**changes).generation == blueprint().generation


def test_a_server_that_is_left_out_is_as_one_that_is_not_configured() -> None:
    others = {**SERVER, "port": 23}
    configured = {"name": "fleet", "path": "acme", "token": "s", "ssh-debug": [SERVER, others]}
    made = blueprint_of(parse(configured, "x"), left_out={(SERVER["host"], SERVER["port"])})
    assert made.network == blueprint(ssh_debug=[others]).network
    assert made.generation == blueprint(ssh_debug=[others]).generation


def test_guests_know_either_the_proxies_or_aproxy() -> None:
    told = blueprint(http_proxy=AT, no_proxy="a.example").network
    assert told.aproxy is None
    assert told.proxies == Proxies(Proxy(AT), None, ("a.example",))
    redirected = blueprint(http_proxy=AT, use_aproxy=True).network
    assert not redirected.proxies
    assert redirected.aproxy is not None
    assert redirected.aproxy.proxy == Proxy(AT)
    assert redirected.aproxy.ports == (80, 443, 11371)


def test_aproxy_forwards_to_the_proxy_for_https_where_there_is_no_other() -> None:
    network = blueprint(https_proxy=AT, use_aproxy=True).network
    assert network.aproxy is not None
    assert network.aproxy.proxy == Proxy(AT)


def test_a_blueprint_that_is_logged_shows_no_password() -> None:
    assert "word" not in repr(blueprint(http_proxy=PROXY))


def test_a_host_that_can_filter_ipv6_makes_another_generation() -> None:
    config = parse({"name": "fleet", "path": "acme", "token": "s"}, "x")
    without = blueprint_of(config, ipv6_filtering=False)
    assert without.template.ipv6_filtering is False
    assert without.generation != blueprint_of(config, ipv6_filtering=True).generation


def test_another_application_in_a_prepared_image_makes_another_generation() -> None:
    config = parse(
        {"name": "fleet", "path": "acme", "token": "s", "lxd": {"image": "prepared"}}, "x"
    )
    made = {blueprint_of(config, application=sha256).generation for sha256 in ("", "a", "b")}
    assert len(made) == 3
