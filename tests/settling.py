"""Wait until nothing that was sent between namespaces is under way.

What is sent waits in the backlog of the processor that it was sent from, and what comes of it at
the end of the same one: in order, but for as long as a busy machine likes. So frames that are sent
after it, from each processor, one when the one before has been heard, are heard after it.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from sandbox.namespaces import BRIDGE, Namespace, Neighbourhood

_MARKER = 0x88B5  # for local experiments (IEEE 802): no filter of IP sees it
_ROUNDS = 2
"""What is sent causes the next at most as often as all ways are gone in so many rounds."""
_AGAIN_S = 0.2
_LIMIT_S = 30.0

Device = tuple[Namespace, str]
"""A network's device, by where it is and what it is called there."""


@dataclass(frozen=True)
class Way:
    """From one device to the other end of its cable."""

    sender: socket.socket
    hearer: socket.socket

    def go(self) -> None:
        """Send a frame, and wait until it is heard."""
        mark = secrets.token_bytes(16)
        deadline = time.monotonic() + _LIMIT_S
        aim = (*self.sender.getsockname()[:1], _MARKER, 0, 0, self.hearer.getsockname()[4])
        while time.monotonic() < deadline:
            try:
                self.sender.sendto(mark, aim)
                while self.hearer.recv(64)[: len(mark)] != mark:
                    pass  # one of before, which was sent again too soon
            except (TimeoutError, BlockingIOError):
                continue
            return
        message = f"nothing that is sent to {aim[0]} arrives"
        raise TimeoutError(message)


def settle(ways: tuple[Way, ...]) -> None:
    """Wait until all that this process has sent has arrived, and what it has caused, too.

    It may have been sent from any processor that this thread, and so those it has started, runs on.
    """
    usual = os.sched_getaffinity(0)
    try:
        for processor in usual:
            os.sched_setaffinity(0, {processor})
            for _ in range(_ROUNDS):
                for way in ways:
                    way.go()
    finally:
        os.sched_setaffinity(0, usual)


@contextmanager
def ways_of(there: Neighbourhood) -> Iterator[tuple[Way, ...]]:
    """Give all ways of a neighbourhood, to settle what is sent on them."""
    with ways_between(
        ((there.guest, "eth0"), (there.host, "guest2"), (there.host, BRIDGE)),
        ((there.other, "eth0"), (there.host, "guest3"), (there.host, BRIDGE)),
        ((there.world, "uplink"), (there.host, "uplink"), (there.host, "uplink")),
    ) as ways:
        yield ways


@contextmanager
def ways_between(*cables: tuple[Device, Device, Device]) -> Iterator[tuple[Way, ...]]:
    """Give the ways of cables there and back.

    Args:
        cables: a guest's end of each, the host's, and who hears what arrives at that one.
    """
    with ExitStack() as stack:

        def opened(where: Namespace, device: str) -> socket.socket:
            with where.entered():
                made = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
            stack.enter_context(made)
            made.bind((device, _MARKER))
            made.settimeout(_AGAIN_S)
            return made

        yield tuple(
            Way(opened(*sender), opened(*hearer))
            # A bridge's port hears nothing itself: the bridge does.
            for far, port, hears in cables
            for sender, hearer in ((far, hears), (port, far))
        )
