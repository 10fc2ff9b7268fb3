"""What programs that the daemon starts see of its environment."""

from __future__ import annotations

import sys

import pytest

from supervisor.gateways import storage
from supervisor.gateways.nftables import Nftables

_TELL = "import json, os; print(json.dumps({'nftables': [], 'env': dict(os.environ)}))"


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://user:hunter2@proxy.example:3128")
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    monkeypatch.setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")


def test_nft_is_told_where_programs_are_and_to_speak_english() -> None:
    document = Nftables((sys.executable, "-c", _TELL)).table("any")
    assert document
    seen = {key: document["env"][key] for key in document["env"].keys() & {"PATH", "LC_ALL"}}
    assert seen == {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
    assert not document["env"].keys() & {"https_proxy", "LANG"}


def test_what_mounts_is_told_no_more() -> None:
    said = storage._run("tell", "env").splitlines()
    assert "LC_ALL=C" in said
    assert not any("hunter2" in line or line.startswith("LANG=") for line in said)
