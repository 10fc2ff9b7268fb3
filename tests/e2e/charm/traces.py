"""What an installation could leave on a machine: a picture of it, to be compared with another."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from whole_machine import Machine

Picture = dict[str, list[str]]

# Others write there all the time: logs, caches, LXD's database, what systemd notes, Juju's agent.
_OTHERS = (
    *("/dev", "/proc", "/run", "/sys", "/tmp", "/var/tmp", "/storage", "/root"),
    *("/var/cache", "/var/log", "/var/lib/apt", "/var/lib/juju", "/var/lib/lxd"),
    "/var/lib/systemd",
)
_OURS = ("*github-runner*", "*supervisor*")
_LXD = ("projects", "storage-pools", "networks", "images", "profiles", "instances")


def picture(machine: Machine) -> Picture:
    """Take it; the parts have names that a failed comparison shows.

    Loop devices are the kernel's, and so every machine's: one of ours would be mounted.
    """
    return {
        "files": _files(machine),
        "files of our name elsewhere": _named_files(machine),
        "what stands in /etc": _digests(machine),
        "units": _units(machine),
        "processes": _lines(machine, "pgrep", "--list-full", "--full", "supervisor"),
        "mounts": _lines(machine, "findmnt", "--noheadings", "--raw", "--output", "TARGET"),
        "interfaces": sorted(one["ifname"] for one in _json(machine, "ip", "-json", "link")),
        "packet filters": _filters(machine),
        "LXD": [f"{kind}: {_json(machine, 'lxc', 'query', f'/1.0/{kind}')}" for kind in _LXD],
    }


def differences(before: Picture, after: Picture) -> dict[str, tuple[list[str], list[str]]]:
    """Give what came and what went, of each part in which something did."""
    found = {}
    for part, was in before.items():
        came, went = set(after[part]) - set(was), set(was) - set(after[part])
        if came or went:
            found[part] = (sorted(came), sorted(went))
    return found


def _files(machine: Machine) -> list[str]:
    pruned = [word for path in _OTHERS for word in ("-path", path, "-o")][:-1]
    words = ("(", *pruned, "-o", "-name", "__pycache__", ")", "-prune")
    return _lines(machine, "find", "/", "-xdev", *words, "-o", "-printf", "%p %y %m %u %g %l\\n")


def _named_files(machine: Machine) -> list[str]:
    named = [word for pattern in _OURS for word in ("-name", pattern, "-o")][:-1]
    places = ("/run", "/tmp", "/var/tmp", "/var/lib", "/root", "/dev/shm")
    others = ("-path", "/var/lib/juju", "-prune", "-o", "-path", "/var/lib/lxd", "-prune", "-o")
    found = _lines(machine, "find", *places, *others, "(", *named, ")", "-print", "-prune")
    return [path for path in found if not path.startswith("/run/systemd/propagate")]


def _digests(machine: Machine) -> list[str]:
    # Those with a dash are copies of before the last change.
    return _lines(
        machine,
        *("find", "/etc", "-type", "f", "!", "-name", "*-", "-exec", "sha256sum", "{}", "+"),
    )


def _units(machine: Machine) -> list[str]:
    listings = ("list-units", "list-unit-files")
    options = ("--all", "--plain", "--no-legend", "--no-pager")
    return [
        line
        for listing in listings
        for line in _lines(machine, "systemctl", listing, *options, *_OURS)
    ]


def _filters(machine: Machine) -> list[str]:
    text = machine.run("nft", "list", "ruleset")
    # LXD leaves its own tables, empty.
    return re.sub(r"table \w+ lxd \{\s*\}\n", "", text).splitlines()


def _lines(machine: Machine, *command: str) -> list[str]:
    return sorted(machine.run(*command, check=False).splitlines())


def _json(machine: Machine, *command: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(machine.run(*command))
    return found
