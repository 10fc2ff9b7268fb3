"""Decide which LXD the sandbox uses on a machine: data in, choice out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

_DEBIAN_LXD = ("lxd", "lxd-client", "dnsmasq-base", "nftables")


class Answer(Enum):
    """What became of the attempt to ask the LXD at the place where ``lxc`` looks for it."""

    READY = "ready"  # it answers and runs containers
    UNABLE = "unable"  # it answers and can't run containers
    DENIED = "denied"  # there is one; this user may not use it
    NONE = "none"


class Source(Enum):
    """Where the sandbox's LXD comes from."""

    EXISTING = "existing"  # the machine's, as it is
    SERVICE = "service"  # the machine's, once systemd or snapd has started it
    PRIVATE = "private"  # one of our own, ended with the sandbox
    EMULATOR = "emulator"  # none
    SUDO = "sudo"  # to be decided anew as root


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What is known of the machine.

    Attributes:
        system: As ``uname -s`` says it.
        distribution: The identifiers in ``/etc/os-release``: its own and those it is like.
        answer: What became of asking the machine's LXD.
        has_lxd: The LXD daemon's program is installed.
        has_busybox: Busybox is installed.
        has_nft: nftables' program is installed.
        has_apt: There is ``apt-get``.
        has_systemd: Process 1 is systemd.
        has_snapd: snapd is running.
        is_root: We are root.
        can_sudo: We can become root by ``sudo`` (it may ask for a password in this terminal).
    """

    system: str = "Linux"
    distribution: frozenset[str] = frozenset()
    answer: Answer = Answer.NONE
    has_lxd: bool = False
    has_busybox: bool = True
    has_nft: bool = True
    has_apt: bool = True
    has_systemd: bool = False
    has_snapd: bool = False
    is_root: bool = True
    can_sudo: bool = False


@dataclass(frozen=True)
class Choice:
    """Where LXD comes from, and what is to be installed before.

    Attributes:
        source: Where it comes from.
        reason: Why, in words that follow "because".
        packages: Debian or Ubuntu packages that are missing.
        snap: LXD's snap is missing.
    """

    source: Source
    reason: str
    packages: tuple[str, ...] = ()
    snap: bool = False


def choose(machine: Machine, *, use_emulator: bool | None = None) -> Choice:
    """Choose; every combination has an answer.

    Args:
        machine: What is known of it.
        use_emulator: True wants the emulator, False never does, None leaves it to us.
    """
    if use_emulator:
        return _emulator("it was asked for")
    if machine.system != "Linux":
        return _emulator(f"LXD needs Linux, and this is {machine.system}")
    if machine.answer is Answer.READY:
        return _existing(machine)
    if machine.answer is Answer.UNABLE:
        return _emulator("the LXD of this machine can't run containers")
    return _start_or_install(machine) if machine.is_root else _become_root(machine)


def _become_root(machine: Machine) -> Choice:
    why = "this user may not use LXD" if machine.answer is Answer.DENIED else "no LXD answers"
    if machine.can_sudo:
        return Choice(Source.SUDO, f"{why}, and root can change that")
    return _emulator(f"{why}, and we are neither root nor have sudo")


def _start_or_install(machine: Machine) -> Choice:
    if machine.has_lxd:
        source = Source.SERVICE if machine.has_systemd else Source.PRIVATE
        return Choice(source, "LXD is installed and not running", _tools(machine))
    return _install(machine)


def _existing(machine: Machine) -> Choice:
    missing = _busybox(machine)
    if missing and not (machine.is_root or machine.can_sudo):
        return _emulator(f"{missing[0]} is missing, and we are neither root nor have sudo")
    return Choice(Source.EXISTING, "it answers", _tools(machine))


def _install(machine: Machine) -> Choice:
    # Ubuntu's apt package of LXD is a shell around its snap.
    if "ubuntu" in machine.distribution:
        if machine.has_snapd:
            return Choice(Source.SERVICE, "LXD is not installed", _tools(machine), snap=True)
        return _emulator("Ubuntu's LXD is a snap, and snapd is not running")
    if "debian" in machine.distribution and machine.has_apt:
        source = Source.SERVICE if machine.has_systemd else Source.PRIVATE
        return Choice(source, "LXD is not installed", (*_DEBIAN_LXD, *_busybox(machine)))
    name = " ".join(sorted(machine.distribution)) or "unknown"
    return _emulator(f"LXD is not installed, and this distribution ({name}) is not known to us")


def _tools(machine: Machine) -> tuple[str, ...]:
    """Name what is to be installed beside LXD; it goes without nft where that is not to be had."""
    wants_nft = machine.is_root and machine.has_apt and not machine.has_nft
    return (*_busybox(machine), *(("nftables",) if wants_nft else ()))


def _busybox(machine: Machine) -> tuple[str, ...]:
    if machine.has_busybox:
        return ()
    return ("busybox-static",) if "ubuntu" in machine.distribution else ("busybox",)


def _emulator(reason: str) -> Choice:
    return Choice(Source.EMULATOR, reason)
