"""Remove from the machine what a killed private LXD left on it.

A LXD that is killed leaves its containers running, a bridge with its DHCP server, packet filter
chains and mounts. Everything here is found by the directory the daemon ran in, and nothing is
touched that can't be proven to belong to it: other LXD daemons on the machine stay whole.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from supervisor.firewall.names import installations, table_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_PROC = Path("/proc")
_CGROUPS = Path("/sys/fs/cgroup")
_INTERFACES = Path("/sys/class/net")
# Programs that a LXD daemon starts and that outlive it, and the daemon itself. A process's
# environment alone is no proof: a shell or a test run may carry LXD_DIR too.
_PROGRAMS = frozenset({"lxd", "dnsmasq", "virtiofsd", "qemu-system-x86_64", "qemu-system-aarch64"})
_END_LIMIT_S = 10.0


class LeftoversRemain(Exception):
    """Tell that something of a killed LXD could not be removed."""


def remove_leftovers(directory: Path) -> None:
    """End and remove all that a LXD with this directory left running; keep the directory.

    The daemon itself, if it still runs, is ended first. LXD's records stay: a daemon started
    there afterwards knows its images and networks, and shows its instances as stopped.

    Raises:
        LeftoversRemain: If a process does not end or a mount can't be removed.
    """
    directory = directory.resolve()
    if not directory.is_dir():
        return
    names = _names_in(directory / "containers")
    _end_processes(directory)
    bridges = _names_in(directory / "networks")
    for bridge in bridges:
        _remove_bridge(bridge)
    if bridges:  # without one it has no filters, and the tables are others'
        _remove_filter_chains(bridges)
        _remove_port_filters(names)
        _remove_guards(bridges)
    _unmount_below(directory)
    _remove_cgroups(names)


def remove_directory(directory: Path) -> None:
    """Remove the leftovers and the directory itself, also if it is a mount of its own."""
    remove_leftovers(directory)
    directory = directory.resolve()
    for mount in _mounts():
        if mount == directory:
            _run("umount", "--lazy", str(mount))
    shutil.rmtree(directory, ignore_errors=True)
    if directory.exists():
        raise LeftoversRemain(f"{directory} can't be removed; look with: ls -lR {directory}")


def processes_of(directory: Path) -> list[int]:
    """List the processes that provably belong to the LXD of this directory, daemon first."""
    roots = _container_roots(directory)
    daemons: list[int] = []
    others: list[int] = []
    for pid in _pids():
        if not _belongs(pid, directory, roots):
            continue
        (daemons if _is_daemon(pid) else others).append(pid)
    return daemons + others


def _belongs(pid: int, directory: Path, roots: Iterable[tuple[int, int]]) -> bool:
    """Prove it by the environment LXD gave its own programs, or by a container's root."""
    try:
        root = (_PROC / str(pid) / "root").stat()
        if (root.st_dev, root.st_ino) in roots:
            return True
        program = (_PROC / str(pid) / "exe").readlink().name.removesuffix(" (deleted)")
        if program not in _PROGRAMS:
            return False
        environment = (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:  # it ended, it is a kernel thread, or it isn't ours to look at
        return False
    return b"LXD_DIR=" + os.fsencode(directory) in environment


def _is_daemon(pid: int) -> bool:
    try:
        command = (_PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return os.path.basename(command[0]) == b"lxd" and b"--logfile" in command  # noqa: PTH119 - bytes


def _container_roots(directory: Path) -> frozenset[tuple[int, int]]:
    """Return device and inode of each container's root directory: a process shows its own."""
    found = set()
    for root in directory.glob("storage-pools/*/containers/*/rootfs"):
        with contextlib.suppress(OSError):
            status = root.stat()
            found.add((status.st_dev, status.st_ino))
    return frozenset(found)


def _end_processes(directory: Path) -> None:
    deadline = time.monotonic() + _END_LIMIT_S
    # Again and again: a process may have started another while the first list was read.
    while pids := processes_of(directory):
        roots = _container_roots(directory)
        for pid in pids:
            _end(pid, directory, roots)
        if time.monotonic() > deadline:
            raise LeftoversRemain(f"processes {pids} of the LXD in {directory} do not end")


def _end(pid: int, directory: Path, roots: frozenset[tuple[int, int]]) -> None:
    """Kill one process; the descriptor makes sure that the number wasn't reused since."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if _belongs(pid, directory, roots):
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            waiting = select.poll()  # select() takes no descriptor above 1,023
            waiting.register(descriptor, select.POLLIN)
            waiting.poll(1000)
    finally:
        os.close(descriptor)


def _remove_bridge(name: str) -> None:
    if not (_INTERFACES / name / "bridge").is_dir():
        return
    # A guest that died while no daemon ran leaves its pair of interfaces in the bridge.
    for port in _names_in(_INTERFACES / name / "brif"):
        if port.startswith("veth"):
            _run("ip", "link", "delete", port)
    _run("ip", "link", "delete", name)


def _remove_filter_chains(bridges: list[str]) -> None:
    """Delete the chains LXD made for these bridges.

    All LXD daemons of a machine share the table `inet lxd`; each chain's name ends in its bridge.
    """
    chains = _rules_by_chain("inet")
    _remove_chains(
        "inet", [chain for chain in chains if any(chain.endswith(f".{name}") for name in bridges)]
    )


def _remove_port_filters(instances: list[str]) -> None:
    """Delete the chains LXD made for ports of these instances.

    All LXD daemons of a machine share the table `bridge lxd`; a chain is named for its instance,
    which another daemon may have too, and its rules for the port, which is gone by now.
    """
    of_instances = [
        chain
        for chain, rules in _rules_by_chain("bridge").items()
        if any(chain.startswith((f"in.{name}.", f"fwd.{name}.")) for name in instances)
        and not any((_INTERFACES / port).exists() for rule in rules for port in _ports(rule))
    ]
    _remove_chains("bridge", of_instances)


def _ports(rule: dict[str, Any]) -> Iterator[str]:
    for statement in rule["expr"]:
        match = statement.get("match", {})
        if match.get("left") == {"meta": {"key": "iifname"}}:
            yield match["right"]


def _remove_chains(family: str, chains: list[str]) -> None:
    """Delete chains, and leave the table even if it is empty then, as LXD itself does.

    Since it was looked at, another daemon may have put its own chains into it: they would go too.
    """
    # Emptied first, all of them: one may jump to another.
    orders = [f"flush chain {family} lxd {chain}" for chain in chains]
    orders += [f"delete chain {family} lxd {chain}" for chain in chains]
    if orders:
        _run("nft", "-f", "-", text="\n".join(orders) + "\n")


def _remove_guards(bridges: list[str]) -> None:
    """Delete what daemons have left that guarded guests at these bridges."""
    listing = _run("nft", "-j", "list", "tables", "inet")
    entries = json.loads(listing)["nftables"] if listing else []
    tables = [entry["table"]["name"] for entry in entries if "table" in entry]
    for bridge in bridges:
        for installation in installations(tables, bridge):
            _run("nft", "delete", "table", "inet", table_name(installation, bridge))


def _rules_by_chain(family: str) -> dict[str, list[dict[str, Any]]]:
    """Return the rules of each of the chains in LXD's table; it may have none of this family."""
    listing = _run("nft", "-j", "list", "table", family, "lxd")
    found: dict[str, list[dict[str, Any]]] = {}
    for entry in json.loads(listing)["nftables"] if listing else ():
        if "chain" in entry:
            found.setdefault(entry["chain"]["name"], [])
        if "rule" in entry:
            found.setdefault(entry["rule"]["chain"], []).append(entry["rule"])
    return found


def _unmount_below(directory: Path) -> None:
    for _ in range(2):  # a mount may have been stacked on another
        for mount in sorted(_mounts(), reverse=True):
            if directory in mount.parents:
                _run("umount", "--lazy", str(mount))
    if remaining := [mount for mount in _mounts() if directory in mount.parents]:
        raise LeftoversRemain(f"mounts remain: {', '.join(map(str, remaining))}")


def _mounts() -> list[Path]:
    lines = (_PROC / "self" / "mountinfo").read_text().splitlines()
    # The fifth field is the mount point, with blanks as octal escapes.
    return [Path(line.split()[4].encode().decode("unicode_escape")) for line in lines]


def _remove_cgroups(containers: list[str]) -> None:
    for name in containers:
        for kind in ("payload", "monitor", "pivot"):
            for group in [
                *_CGROUPS.glob(f"lxc.{kind}.{name}"),
                *_CGROUPS.glob(f"*/lxc.{kind}.{name}"),
            ]:
                for path, _, _ in os.walk(group, topdown=False):
                    # One that holds a process can't be removed: then it isn't a leftover.
                    with contextlib.suppress(OSError):
                        os.rmdir(path)  # noqa: PTH106 - os.walk gives strings


def _names_in(directory: Path) -> list[str]:
    try:
        return sorted(os.listdir(directory))  # noqa: PTH208 - names are what is wanted
    except OSError:
        return []


def _pids() -> Iterator[int]:
    return (int(name) for name in os.listdir(_PROC) if name.isdigit())  # noqa: PTH208


def _run(*command: str, text: str | None = None) -> str:
    """Run a program for its effect: what it leaves undone is found by looking afterwards."""
    try:
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, check=False, timeout=_END_LIMIT_S
        )
    except FileNotFoundError:
        return ""
    return done.stdout
