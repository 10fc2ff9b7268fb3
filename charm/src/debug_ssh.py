"""The tmate servers that are related over `debug-ssh`, as the daemon's configuration names them.

What a server says of itself stands in its unit's databag: `host`, `port`, `rsa_fingerprint` and
`ed25519_fingerprint`, as tmate-ssh-server writes them
(https://github.com/canonical/tmate-ssh-server-operator, src/ssh_debug.py).
"""

import logging
import re
from collections.abc import Mapping
from ipaddress import IPv6Address, ip_address

import ops

RELATION = "debug-ssh"
_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_FORMS = {
    "host": rf"{_LABEL}(?:\.{_LABEL}){{0,126}}|[0-9A-Fa-f:.]{{2,45}}",
    "port": r"[1-9][0-9]{0,4}",
    "rsa_fingerprint": r"SHA256:[A-Za-z0-9+/]{43}=?",
    "ed25519_fingerprint": r"SHA256:[A-Za-z0-9+/]{43}=?",
}
_LAST_PORT = 65535
_LONGEST_NAME = 253
_NUMBER = "[0-9]+|0[Xx][0-9A-Fa-f]*"
_logger = logging.getLogger(__name__)


class ServerError(Exception):
    """A server can't be used; it says why, without what the other side wrote."""


def servers(model: ops.Model) -> list[dict[str, str | int]]:
    """Give the entries of the daemon's `ssh-debug`, always in the same order.

    A unit whose data can't be used is left out, and the log says why: the others are as good as
    without it.
    """
    found: dict[tuple[str, int], dict[str, str | int]] = {}
    for relation in model.relations[RELATION]:
        for unit in relation.units if relation.active else ():
            try:
                one = server(relation.data[unit])
            except ServerError as error:
                _logger.warning("%s: %s is left out: %s", RELATION, unit.name, error)
                continue
            found[str(one["host"]), int(one["port"])] = one
    return [found[place] for place in sorted(found)]


def server(said: Mapping[str, str]) -> dict[str, str | int]:
    """Read what one unit says of its server.

    Args:
        said: its databag. It is another application's: nothing of it is believed unchecked.

    Raises:
        ServerError: something is missing, or is not what it should be.
    """
    missing = [key for key in _FORMS if not said.get(key)]
    if missing:
        raise ServerError(f"it has not said its {', '.join(missing)} yet")
    for key, form in _FORMS.items():
        if not re.fullmatch(form, said[key], re.ASCII):
            raise ServerError(f"its {key} is none")
    if not _is_host(said["host"]):
        raise ServerError("its host is none")
    port = int(said["port"])
    if port > _LAST_PORT:
        raise ServerError("its port is none")
    if not _elsewhere(said["host"]):
        raise ServerError("its host is no address that runners could reach")
    return {
        "host": said["host"],
        "port": port,
        "rsa-fingerprint": said["rsa_fingerprint"],
        "ed25519-fingerprint": said["ed25519_fingerprint"],
    }


def _is_host(host: str) -> bool:
    """Tell whether this is an address, or a name that no program takes for a number of one."""
    try:
        ip_address(host)
    except ValueError:
        labels = host.split(".")
        is_number = re.fullmatch(_NUMBER, labels[-1]) is not None
        return ":" not in host and all(labels) and len(host) <= _LONGEST_NAME and not is_number
    return True


def _elsewhere(host: str) -> bool:
    """Tell whether a host is no address that means each machine itself, its link, or many.

    What a name stands for the daemon looks up, before it tells runners of the server.
    """
    try:
        address = ip_address(host)
    except ValueError:
        return host.lower() != "localhost"
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return not (
        address.is_loopback
        or address.is_link_local
        or address.is_unspecified
        or address.is_multicast
    )
