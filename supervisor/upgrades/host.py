"""What this host must have to keep runners: judged from what was found, and never installed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

AppArmor = Literal["on", "off", "none"]
_LXD = (5, 0)
_NFT = (1, 0, 2)
"""The first that Ubuntu 22.04 has; before, sets lose elements that are replaced in one go."""
FOR_VIRTUAL_MACHINES = {
    "cpu-checker": "says by kvm-ok why there is no KVM",
    "libvirt-clients": "has virt-host-validate, which says what keeps virtual machines from it",
    "libvirt-daemon-driver-qemu": "lets libvirt look at QEMU",
    "apparmor-utils": "shows and changes the profiles that confine virtual machines",
}


@dataclass(frozen=True)
class HostSeen:
    """What was found.

    Attributes:
        lxd: LXD's version, as it says itself; empty if it does not answer.
        lxd_fault: why it does not.
        lxd_from: how it is installed: `snap`, `deb`, `unknown`; empty if it is not.
        runs_virtual_machines: LXD says that it can.
        nft: the version of nftables' program; empty if there is none.
        gunicorn: its version; empty if there is none.
        packages: the names of Debian's packages that are installed; None on a host without dpkg.
        kvm: there is /dev/kvm.
        apparmor: the kernel has it switched on, or off, or has it not.
    """

    lxd: str = ""
    lxd_fault: str = ""
    lxd_from: str = ""
    runs_virtual_machines: bool = False
    nft: str = ""
    gunicorn: str = ""
    packages: frozenset[str] | None = None
    kvm: bool = False
    apparmor: AppArmor = "none"


@dataclass(frozen=True)
class Finding:
    """Something that is missing, too old or not running.

    Attributes:
        what: is wrong, in one sentence without an end.
        mend: the command that mends it, or what else does; empty where this host can't be mended:
            that is said once.
        needed: no runner can be made without it; or else it is only good to have.
    """

    what: str
    mend: str
    needed: bool = True

    def __str__(self) -> str:
        """Show it to people."""
        return f"{self.what}: {self.mend}" if self.mend else self.what


@dataclass(frozen=True)
class Wanted:
    """What the configuration makes necessary.

    Attributes:
        virtual_machines: runners are such, not containers.
        nftables: the daemon keeps the firewall.
    """

    virtual_machines: bool
    nftables: bool


def judge(seen: HostSeen, wanted: Wanted) -> tuple[Finding, ...]:
    """Say what is wrong with a host."""
    found = [*_lxd(seen), *_gunicorn(seen)]
    if wanted.nftables:
        found += _nftables(seen)
    if wanted.virtual_machines:
        found += _virtual_machines(seen)
    found += _apparmor(seen)
    return tuple(found)


def versions(seen: HostSeen) -> str:
    """Say which versions there are."""
    told = (("LXD", seen.lxd), ("nftables", seen.nft), ("gunicorn", seen.gunicorn))
    return ", ".join(f"{name} {version}" for name, version in told if version)


def _lxd(seen: HostSeen) -> Iterator[Finding]:
    if seen.lxd:
        if _number(seen.lxd) < _LXD:
            mend = {
                "snap": "snap refresh lxd --channel=5.21/stable",
                "deb": "apt-get install --only-upgrade lxd",
            }.get(seen.lxd_from, "upgrade it")
            yield Finding(f"LXD {seen.lxd} is older than 5.0", mend)
    elif not seen.lxd_from:
        yield Finding("LXD is not installed", "snap install lxd --channel=5.21/stable")
    else:
        # Of that others tell as of a problem, too.
        start = "snap start lxd" if seen.lxd_from == "snap" else "systemctl start lxd"
        yield Finding(f"LXD does not answer ({seen.lxd_fault})", start, needed=False)


def _nftables(seen: HostSeen) -> Iterator[Finding]:
    if not seen.nft:
        yield Finding("nftables is not installed", "apt-get install nftables")
    elif _number(seen.nft) < _NFT:
        upgrade = "apt-get install --only-upgrade nftables"
        yield Finding(f"nftables {seen.nft} is older than 1.0.2", upgrade)


def _gunicorn(seen: HostSeen) -> Iterator[Finding]:
    if not seen.gunicorn:
        yield Finding("gunicorn is not installed", "install the daemon's package again, by pip")


def _virtual_machines(seen: HostSeen) -> Iterator[Finding]:
    if not seen.kvm:
        yield Finding(
            "there is no /dev/kvm, without which no virtual machine runs",
            "switch virtualisation on in the firmware, or in the host's own host; kvm-ok says more",
        )
    elif seen.lxd and not seen.runs_virtual_machines:
        restart = "snap restart lxd" if seen.lxd_from == "snap" else "systemctl restart lxd"
        yield Finding("LXD can run no virtual machines although there is /dev/kvm", restart)
    if seen.packages is not None:
        for name, use in FOR_VIRTUAL_MACHINES.items():
            if name not in seen.packages:
                yield Finding(
                    f"{name}, which {use}, is not installed",
                    f"apt-get install {name}",
                    needed=False,
                )


def _apparmor(seen: HostSeen) -> Iterator[Finding]:
    if seen.apparmor == "off":
        # No service switches it on: https://docs.kernel.org/admin-guide/LSM/apparmor.html
        boot = "boot the kernel with apparmor=1 security=apparmor"
        yield Finding("AppArmor, which confines instances, is switched off", boot, needed=False)
    elif seen.apparmor == "none":
        yield Finding("the kernel has no AppArmor, which would confine instances", "", needed=False)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("-")[0])[:3])
