"""The tmate servers that are related, as the daemon's configuration names them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import debug_ssh
import ops
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from ops import testing

from supervisor.config import parse

METADATA = yaml.safe_load(
    (Path(__file__).parents[3] / "charm" / "charmcraft.yaml").read_text(encoding="utf-8")
)
META = {key: METADATA[key] for key in ("name", "requires", "provides")}
RSA = "SHA256:ovh8Zf0fzPbDnFyfp1Hrl2nOxNDlWcGEkWVaHnRJ2+s"
ED25519 = "SHA256:yVbQu2mVd7hJ2OEb4R0k7bvSuDPrrkOUNfDZqyXEnKk"


def said(host: str = "10.5.0.7", **other: str) -> dict[str, str]:
    fingerprints = {"rsa_fingerprint": RSA, "ed25519_fingerprint": ED25519}
    return {"host": host, "port": "10022", **fingerprints, **other}


def entry(host: str) -> dict[str, Any]:
    return {
        "host": host,
        "port": 10022,
        "rsa-fingerprint": RSA,
        "ed25519-fingerprint": ED25519,
    }


def related(*databags: dict[str, str]) -> testing.Relation:
    return testing.Relation(
        "debug-ssh", remote_app_name="tmate", remote_units_data=dict(enumerate(databags))
    )


def servers(*relations: testing.Relation, breaking: testing.Relation | None = None) -> Any:
    context = testing.Context(ops.CharmBase, meta=META)
    event = context.on.relation_broken(breaking) if breaking else context.on.update_status()
    with context(event, testing.State(relations=relations)) as running:
        return debug_ssh.servers(running.charm.model)


def test_without_a_relation_there_is_none() -> None:
    assert servers() == []


def test_every_unit_of_every_relation_is_named_in_an_order_that_stays() -> None:
    one, other = related(said("10.5.0.9"), said("10.5.0.7")), related(said("10.5.0.8"))
    found = [entry("10.5.0.7"), entry("10.5.0.8"), entry("10.5.0.9")]
    assert servers(one, other) == servers(other, one) == found


def test_a_server_that_two_relations_name_stands_once() -> None:
    assert servers(related(said()), related(said())) == [entry("10.5.0.7")]


def test_the_servers_of_a_relation_that_ends_are_gone() -> None:
    going, staying = related(said("10.5.0.7")), related(said("10.5.0.8"))
    assert servers(going, staying, breaking=going) == [entry("10.5.0.8")]


def test_a_unit_that_has_not_said_all_is_left_out_and_the_log_says_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    half = {key: value for key, value in said("10.5.0.9").items() if "fingerprint" not in key}
    with caplog.at_level(logging.WARNING):
        assert servers(related(half, said())) == [entry("10.5.0.7")]
    assert (
        "tmate/0 is left out: it has not said its rsa_fingerprint, ed25519_fingerprint yet"
        in caplog.text
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("host", "10.5.0.7\ntoken: stolen"),
        ("host", "-oProxyCommand=id"),
        ("host", "{{ host }}"),
        ("host", "ssh debug"),
        ("host", ":::"),
        ("host", "a..b"),
        ("host", "0"),
        ("host", "10.5"),
        ("host", "10.5.0.7.9"),
        ("host", "tmate.0x7f"),
        ("host", "a" * 64),
        ("host", ".".join(["a" * 63] * 4)),
        ("port", "0"),
        ("port", "65536"),
        ("port", "22; id"),
        ("port", "٢٢"),
        ("rsa_fingerprint", "MD5:aa:bb"),
        ("rsa_fingerprint", RSA + "\n"),
        ("ed25519_fingerprint", "SHA256:" + "$" * 43),
    ],
)
def test_what_can_not_be_is_left_out_and_not_repeated_in_the_log(
    key: str, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert servers(related(said(**{key: value}), said("10.5.0.8"))) == [entry("10.5.0.8")]
    told = [line.getMessage() for line in caplog.records if line.name == "debug_ssh"]
    assert told == [f"debug-ssh: tmate/0 is left out: its {key} is none"]


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.9.9.9", "0.0.0.0", "169.254.169.254", "224.0.0.1", "::", "::1", "fe80::1",
     "ff02::1", "::ffff:7f00:1", "::ffff:a9fe:a9fe", "localhost", "LocalHost"],
)  # fmt: skip
def test_a_host_that_is_each_machine_itself_its_link_or_many_is_left_out(host: str) -> None:
    with pytest.raises(debug_ssh.ServerError, match="no address that runners could reach"):
        debug_ssh.server(said(host))


FORMS = [st.from_regex(form, fullmatch=True) for form in debug_ssh._FORMS.values()]


@given(st.fixed_dictionaries({key: st.one_of(st.text(), *FORMS) for key in debug_ssh._FORMS}))
def test_whatever_is_said_the_daemon_takes_what_is_made_of_it(databag: dict[str, str]) -> None:
    try:
        one = debug_ssh.server(databag)
    except debug_ssh.ServerError:
        return
    parse({"name": "fleet", "path": "acme", "token": "x", "ssh-debug": [one]}, "test")


def test_what_the_daemon_takes_is_taken() -> None:
    for host in ("10.5.0.7", "fd00::7", "tmate.example.com", "t", "7t", "a" * 63):
        assert debug_ssh.server(said(host, port="65535"))["host"] == host
