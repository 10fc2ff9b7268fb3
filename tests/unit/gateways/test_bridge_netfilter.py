from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from supervisor.gateways import bridge_netfilter

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(("text", "seen"), [("1\n", True), ("0\n", False)])
def test_the_kernels_switch_is_read(text: str, seen: bool, tmp_path: Path) -> None:
    switch = tmp_path / "bridge-nf-call-ip6tables"
    switch.write_text(text)
    assert bridge_netfilter.sees_ipv6(switch) is seen


def test_without_br_netfilter_there_is_no_switch(tmp_path: Path) -> None:
    assert not bridge_netfilter.sees_ipv6(tmp_path / "bridge-nf-call-ip6tables")
