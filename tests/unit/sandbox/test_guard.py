from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sandbox import guard, machine
from sandbox.host import Host

GITHUB = "http://10.9.0.1:4711"
HOST = Host(
    kind="lxd", reason="", socket=None, project="p", pool="p", network="p", profile="p", image="p",
    bridge_address="10.9.0.1", instance_type="container", stop=lambda: None,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _able(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "is_root", lambda: True)
    monkeypatch.setattr(machine, "has_program", lambda _name: True)


def test_guests_of_a_real_lxd_are_guarded_and_reach_the_sandbox_github() -> None:
    assert guard.lack(HOST) == ""
    assert guard.settings(HOST, GITHUB) == {"firewall": "managed", "allowlist": ["10.9.0.1:4711"]}


@pytest.mark.parametrize(
    ("kind", "root", "nft", "why"),
    [
        ("emulator", True, True, "no network"),
        ("lxd", False, True, "only root"),
        ("lxd", True, False, "no nft"),
    ],
)
def test_where_that_can_not_be_the_daemon_is_told_and_the_reason_is_said(
    monkeypatch: pytest.MonkeyPatch, kind: Any, *, root: bool, nft: bool, why: str
) -> None:
    monkeypatch.setattr(machine, "is_root", lambda: root)
    monkeypatch.setattr(machine, "has_program", lambda _name: nft)
    host = replace(HOST, kind=kind)
    assert why in guard.lack(host)
    assert guard.settings(host, GITHUB) == {"firewall": "external"}
