"""A host on which all is well, and its packet filter, in the place of their gateways."""

from collections.abc import Callable

from supervisor.upgrades.host import AppArmor
from supervisor.upgrades.reboot import KernelSeen


class FakeHost:
    """A host on which all is as it should be."""

    def __init__(self) -> None:
        self.there = KernelSeen("6.8.0-31-generic")
        self.has_kvm = True
        self.has_apparmor: AppArmor = "on"

    def nft(self) -> str:
        return "1.0.9"

    def gunicorn(self) -> str:
        return "25.1"

    def lxd_from(self) -> str:
        return "snap"

    def debian_packages(self, names: tuple[str, ...]) -> frozenset[str]:
        return frozenset(names)

    def kvm(self) -> bool:
        return self.has_kvm

    def apparmor(self) -> AppArmor:
        return self.has_apparmor

    def kernel(self) -> KernelSeen:
        return self.there


class FakeMonitor:
    """Hears of changes when a test says so."""

    def __init__(self, changed: Callable[[], object]) -> None:
        self.changed = changed
        self.closed = False

    def close(self) -> None:
        self.closed = True


class FakeNftables:
    """The kernel's packet filter, as far as the actor itself asks it."""

    def __init__(self) -> None:
        self.monitors: list[FakeMonitor] = []

    def monitor(self, changed: Callable[[], object], about: str) -> FakeMonitor:
        self.monitors.append(FakeMonitor(changed))
        return self.monitors[-1]
