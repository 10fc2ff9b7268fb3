"""What a host lacks, each with what mends it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from supervisor.upgrades.host import (
    FOR_VIRTUAL_MACHINES,
    HostSeen,
    Wanted,
    judge,
    versions,
)

SOUND = HostSeen(
    lxd="5.21.3",
    lxd_from="snap",
    runs_virtual_machines=True,
    nft="1.0.9",
    gunicorn="25.1",
    packages=frozenset(FOR_VIRTUAL_MACHINES),
    kvm=True,
    apparmor="on",
)
MACHINES = Wanted(virtual_machines=True, nftables=True)
CONTAINERS = Wanted(virtual_machines=False, nftables=True)


def test_a_sound_host_lacks_nothing() -> None:
    assert judge(SOUND, MACHINES) == judge(SOUND, CONTAINERS) == ()
    assert versions(SOUND) == "LXD 5.21.3, nftables 1.0.9, gunicorn 25.1"


@pytest.mark.parametrize(
    ("changes", "said", "needed"),
    [
        ({"lxd": "", "lxd_from": ""}, "LXD is not installed: snap install lxd", True),
        (
            {"lxd": "", "lxd_fault": "nothing listens"},
            "LXD does not answer (nothing listens): snap start lxd",
            False,
        ),
        (
            {"lxd": "", "lxd_from": "deb", "lxd_fault": "no"},
            "LXD does not answer (no): systemctl start lxd",
            False,
        ),
        ({"lxd": "4.0.9"}, "LXD 4.0.9 is older than 5.0: snap refresh lxd --channel=", True),
        ({"nft": ""}, "nftables is not installed: apt-get install nftables", True),
        ({"nft": "1.0.1"}, "nftables 1.0.1 is older than 1.0.2: apt-get install --only-up", True),
        ({"gunicorn": ""}, "gunicorn is not installed: ", True),
        ({"kvm": False}, "there is no /dev/kvm, without which no virtual machine runs: ", True),
        ({"runs_virtual_machines": False}, "LXD can run no virtual machines although", True),
        ({"apparmor": "off"}, "AppArmor, which confines instances, is switched off: boot", False),
        ({"packages": frozenset(list(FOR_VIRTUAL_MACHINES)[1:])}, "cpu-checker, which says", False),
    ],
)
def test_what_is_lacking_is_said_with_what_mends_it(
    changes: dict[str, Any], said: str, needed: bool
) -> None:
    (finding,) = judge(replace(SOUND, **changes), MACHINES)
    assert str(finding).startswith(said)
    assert finding.needed is needed


def test_containers_need_neither_kvm_nor_its_packages() -> None:
    seen = replace(SOUND, kvm=False, packages=frozenset(), runs_virtual_machines=False)
    assert judge(seen, CONTAINERS) == ()


def test_a_host_without_dpkg_is_not_asked_for_its_packages() -> None:
    assert judge(replace(SOUND, packages=None), MACHINES) == ()


def test_a_kernel_without_apparmor_is_said_without_a_command_that_can_not_mend_it() -> None:
    (finding,) = judge(replace(SOUND, apparmor="none"), CONTAINERS)
    assert str(finding) == "the kernel has no AppArmor, which would confine instances"
    assert not finding.needed


def test_an_external_firewall_needs_no_nftables() -> None:
    assert judge(replace(SOUND, nft=""), replace(MACHINES, nftables=False)) == ()


@pytest.mark.parametrize("version", ["5.0", "5.0.2-5+deb12u6", "6.1", "10.0"])
def test_versions_are_compared_as_numbers(version: str) -> None:
    assert judge(replace(SOUND, lxd=version), MACHINES) == ()
