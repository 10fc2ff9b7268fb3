"""A look at this host, as a call that blocks and returns what was found."""

from dataclasses import dataclass

from supervisor.config import Config
from supervisor.gateways.host_packages import HostPackages
from supervisor.gateways.lxd import Lxd, LxdError
from supervisor.upgrades.host import (
    FOR_VIRTUAL_MACHINES,
    Finding,
    HostSeen,
    Wanted,
    judge,
    versions,
)
from supervisor.upgrades.reboot import Need, needed_for


@dataclass(frozen=True)
class HostLooked:
    """What was found.

    Attributes:
        findings: what is wrong.
        versions: what there is, in words.
        reboot_for: what a reboot is needed for; None if it is not.
        unsure: LXD has not answered: another look is due soon.
    """

    findings: tuple[Finding, ...]
    versions: str
    reboot_for: Need | None
    unsure: bool


def look(host: HostPackages, lxd: Lxd, config: Config) -> HostLooked:
    """Look at this host; nothing is changed.

    Args:
        host: what is installed.
        lxd: says its own version.
        config: says what is needed.
    """
    seen = _seen(host, lxd)
    wanted = Wanted(
        virtual_machines=config.lxd.instance_type == "virtual-machine",
        nftables=config.firewall == "managed",
    )
    return HostLooked(
        judge(seen, wanted), versions(seen), needed_for(host.kernel()), unsure=not seen.lxd
    )


def _seen(host: HostPackages, lxd: Lxd) -> HostSeen:
    number, fault, runs_virtual_machines = "", "", False
    try:
        server = lxd.server()
    except LxdError as error:
        fault = str(error)
    else:
        number, runs_virtual_machines = server.version, server.virtual_machines
    return HostSeen(
        lxd=number,
        lxd_fault=fault,
        lxd_from=host.lxd_from() or ("unknown" if number else ""),
        runs_virtual_machines=runs_virtual_machines,
        nft=host.nft(),
        gunicorn=host.gunicorn(),
        packages=host.debian_packages(tuple(FOR_VIRTUAL_MACHINES)),
        kvm=host.kvm(),
        apparmor=host.apparmor(),
    )
