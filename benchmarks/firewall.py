"""What a denylist of 50,000 networks costs: to put in place, to close, and for each packet."""

from __future__ import annotations

import socket
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from ipaddress import IPv4Network, ip_address, ip_network
from threading import Event, Thread
from typing import Any

from table import render, spread

from sandbox.namespaces import BRIDGE, GATEWAYS, SUBNETS, Namespace, neighbourhood
from supervisor.firewall import live, ruleset
from supervisor.firewall.names import table_name
from supervisor.firewall.networks import Network
from supervisor.firewall.policy import Policy
from supervisor.gateways.nftables import Nftables
from supervisor.gateways.nftables_notices import Listen, listen
from supervisor.work.firewall import TableFailed, TableReady, ensure

_WORLD = "203.0.113.9"
_PORT = 7
_ECHOES = 4_000
_LIMIT_S = 5.0
_QUIET_S = 0.5


def run(*, rounds: int = 5, networks: int = 50_000) -> dict[str, Any]:
    """Measure, in network namespaces of its own; takes root and nft.

    Args:
        rounds: how often each comparison is made.
        networks: how many are denied.
    """
    few, many = _denied(10), _denied(networks)
    by_hand, ours, checks, echoes_few, echoes_many = [], [], [], [], []
    with neighbourhood() as there, _echo(there.world):
        nft = _Timed((*there.host.prefix, "nft"), 120, partial(_listen, there.host))
        policy = _policy(many)
        closed, closed_by_hand = _closings(nft, policy, rounds)
        for _ in range(rounds):
            by_hand.append(_took(lambda: nft.apply(_by_hand(many))))
            ruleset.written_sets.cache_clear()  # as for a denylist that has just changed
            ours.append(_took(lambda: nft.apply(ruleset.render(policy))))
            checks.append(_took(lambda: _check(nft, policy)))
            # In turns, and in both orders, so that what else the machine does is shared out.
            for denied in (few, many, many, few):
                nft.apply(ruleset.render(_policy(denied)))
                (echoes_few if denied is few else echoes_many).append(_echo_us(there.guest))
    # Whatever else the machine does only adds to them: the least are the least disturbed.
    load = min(ours) / min(by_hand)
    packet = min(echoes_many) / min(echoes_few)
    close = min(closed) / min(closed_by_hand)
    rows = [
        (f"nft's load of {networks:,} networks by hand, s", spread(by_hand)),
        ("the whole table, rendered and loaded, s", spread(ours)),
        ("ratio of the least", f"{load:.2f}"),
        ("listed, read and compared, s", spread(checks)),
        ("deleted, and closed by the next command, s", spread(closed_by_hand)),
        ("deleted, and closed when that is noticed, s", spread(closed)),
        ("ratio of the least", f"{close:.2f}"),
        ("echo over UDP with 10 networks, us", spread(echoes_few)),
        (f"the same with {networks:,}, us", spread(echoes_many)),
        ("ratio of the least", f"{packet:.2f}"),
    ]
    return {
        "load_by_hand_s": by_hand,
        "load_s": ours,
        "check_s": checks,
        "load_ratio": load,
        "close_by_hand_s": closed_by_hand,
        "close_s": closed,
        "close_ratio": close,
        "echo_few_us": echoes_few,
        "echo_many_us": echoes_many,
        "echo_ratio": packet,
        "table": render((f"{networks:,} networks, {rounds} rounds", "median"), rows),
    }


def _denied(number: int) -> tuple[Network, ...]:
    """Make networks that can't be merged."""
    return tuple(IPv4Network(((11 << 24) + (count << 9), 24)) for count in range(number))


def _policy(denied: tuple[Network, ...]) -> Policy:
    return Policy(
        installation="bench",
        bridge=BRIDGE,
        subnets=tuple(map(ip_network, SUBNETS)),
        gateways=tuple(map(ip_address, GATEWAYS)),
        services=(),
        allowed=(),
        denied=denied,
    )


def _by_hand(denied: tuple[Network, ...]) -> str:
    """Write what somebody would who wants nothing but this denylist."""
    elements = ",\n".join(map(str, denied))
    return f"""table inet by-hand
        delete table inet by-hand
        table inet by-hand {{
            set denied {{ type ipv4_addr; flags interval; elements = {{ {elements} }}
            }}
            chain forward {{
                type filter hook forward priority -10;
                iifname "nobody" ip daddr @denied reject
            }}
        }}
        """


def _check(nft: Nftables, policy: Policy) -> None:
    listed = nft.table(table_name(policy.installation, policy.bridge))
    fault = live.fault(policy, live.read(listed or {}), None)
    if fault:
        raise RuntimeError(fault)


class _Timed(Nftables):
    """Notes when each script was carried out."""

    def __init__(self, command: Sequence[str], timeout_s: float, listen: Listen) -> None:
        super().__init__(command, timeout_s, listen)
        self.applied: list[float] = []

    def apply(self, script: str) -> None:
        super().apply(script)
        self.applied.append(time.perf_counter())


def _listen(host: Namespace) -> socket.socket:
    with host.entered():
        return listen()


def _closings(nft: _Timed, policy: Policy, rounds: int) -> tuple[list[float], list[float]]:
    """Delete the whole table, and measure until it is there again, closed.

    Returns:
        Seconds of the daemon's work, from the deletion's command on, and of two commands in a row.
    """
    name = table_name(policy.installation, policy.bridge)
    match ensure(nft, policy, None, None):
        case TableFailed(reason=reason):
            raise RuntimeError(reason)
        case TableReady() as first:
            pass
    noticed = Event()
    ours, by_hand = [], []
    closed = ruleset.render_closed(policy)

    def heal() -> None:
        if noticed.wait(_LIMIT_S):
            ensure(nft, policy, first.kept, first.live)

    monitor = nft.monitor(noticed.set, name)
    try:
        for _ in range(rounds):
            while noticed.wait(_QUIET_S):
                noticed.clear()  # what this has changed itself
            nft.applied.clear()
            healing = Thread(target=heal, name="healing")
            healing.start()
            began = time.perf_counter()
            nft.delete(name)
            healing.join()
            ours.append(nft.applied[0] - began)
            by_hand.append(_took(lambda: (nft.delete(name), nft.apply(closed))))
            nft.apply(ruleset.render(policy))
    finally:
        monitor.close()
        nft.delete(name)
    return ours, by_hand


def _took(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _echo_us(guest: Namespace) -> float:
    """Return microseconds of the median round trip."""
    with guest.entered():
        asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    times = []
    with asking:
        asking.settimeout(_LIMIT_S)
        asking.connect((_WORLD, _PORT))
        for _ in range(_ECHOES):
            began = time.perf_counter()
            asking.send(b"x")
            asking.recv(1)
            times.append(time.perf_counter() - began)
    return statistics.median(times) * 1e6


@contextmanager
def _echo(world: Namespace) -> Iterator[None]:
    """Answer, until it is left."""
    ended = Event()
    with ExitStack() as stack:
        with world.entered():
            server = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        server.bind((_WORLD, _PORT))
        server.settimeout(0.2)

        def serve() -> None:
            while not ended.is_set():
                try:
                    data, asking = server.recvfrom(16)
                except TimeoutError:
                    continue
                server.sendto(data, asking)

        thread = Thread(target=serve, name="echo")
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
