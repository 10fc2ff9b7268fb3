"""The addresses that names stand for, by the host's own resolver."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from ipaddress import ip_address

from supervisor.firewall.networks import Address
from supervisor.gateways.name_notes import NameNotes

Lookup = Callable[[str], tuple[Address, ...]]


@dataclass(frozen=True)
class Answer:
    """What is known of a name.

    Attributes:
        addresses: those of the last lookup that gave any.
        error: why the newest one gave none; empty if it did.
    """

    addresses: tuple[Address, ...] = ()
    error: str = ""


def look_up(host: str) -> tuple[Address, ...]:
    """Ask the resolver; it takes as long as its own settings say.

    Raises:
        OSError: there is no answer.
    """
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    # A link-local address comes with its interface: %eth0.
    return tuple({ip_address(str(entry[4][0]).partition("%")[0]) for entry in found})


class Names:
    """Looks names up, with a limit, and remembers what they last stood for. Safe for threads.

    A lookup can't be broken off. One that takes too long goes on in its thread, and no other of the
    same name is begun until it ends.

    Args:
        lookup: asks for one name.
        notes: what names stood for when an earlier process asked; None where nothing is noted.
    """

    def __init__(self, lookup: Lookup = look_up, notes: NameNotes | None = None) -> None:
        self._lookup = lookup
        self._notes = notes
        noted = notes.all() if notes else {}
        self._known = {host: Answer(addresses) for host, addresses in noted.items()}
        self._asking: set[str] = set()
        self._changed = threading.Condition()

    @property
    def warning(self) -> str:
        """Why what names stand for could not be noted; empty while it is."""
        return self._notes.warning if self._notes else ""

    def answers(self, hosts: Collection[str], limit_s: float) -> dict[str, Answer]:
        """Look up names and addresses, all at the same time.

        What they stand for is noted, and nothing else: who asks, asks for all that it needs.

        Args:
            hosts: what to look up.
            limit_s: how long it may take; what has no answer then has an error.
        """
        deadline = time.monotonic() + limit_s
        with self._changed:
            for host in set(hosts) - self._asking:
                self._begin(host)
            while self._asking & set(hosts) and (left_s := deadline - time.monotonic()) > 0:
                self._changed.wait(left_s)
            late = f"no answer within {limit_s:g} s"
            answers = {
                host: Answer(self._known.get(host, Answer()).addresses, late)
                if host in self._asking
                else self._known[host]
                for host in hosts
            }
            if self._notes:  # which are for one thread at a time
                found = {host: answer.addresses for host, answer in answers.items()}
                self._notes.keep({host: known for host, known in found.items() if known})
        return answers

    def _begin(self, host: str) -> None:
        try:
            self._known[host] = Answer((ip_address(host),))
        except ValueError:
            asking = threading.Thread(target=self._ask, args=(host,), name="names", daemon=True)
            asking.start()
            self._asking.add(host)  # its end waits for the lock that we hold

    def _ask(self, host: str) -> None:
        found: tuple[Address, ...] = ()
        try:
            found, error = self._lookup(host), ""
        except (OSError, UnicodeError) as failure:
            error = getattr(failure, "strerror", None) or str(failure)
        with self._changed:
            before = self._known.get(host, Answer()).addresses
            self._known[host] = Answer(before if error else found, error)
            self._asking.discard(host)
            self._changed.notify_all()
