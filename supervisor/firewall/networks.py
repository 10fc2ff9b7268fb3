"""How an operator writes networks and what listens in them."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
    summarize_address_range,
)
from typing import Any, TypeVar

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

T = TypeVar("T")
N = TypeVar("N", IPv4Network, IPv6Network)

_LAST_PORT = 65535
_LONGEST_SHOWN = 64
_WITH_PORTS = re.compile(r"(?:\[([^\]]*:[^\]]*)\]|([^:\[\]]*)):([0-9]{1,5})(?:-([0-9]{1,5}))?")
_MAPPED = IPv6Network("::ffff:0:0/96")


@dataclass(frozen=True)
class Ports:
    """A range of TCP and UDP ports, both ends in it."""

    first: int
    last: int

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"

    def __contains__(self, port: int) -> bool:
        return self.first <= port <= self.last


@dataclass(frozen=True)
class Destination:
    """What guests may reach: a network, or certain ports in it.

    Attributes:
        network: One or many addresses.
        ports: Of TCP and UDP; None for all of every protocol.
    """

    network: Network
    ports: Ports | None = None

    @property
    def is_one_address(self) -> bool:
        """Whether its network has no more than that."""
        return self.network.num_addresses == 1

    def __str__(self) -> str:
        text = str(self.network.network_address if self.is_one_address else self.network)
        if self.ports is None:
            return text
        if isinstance(self.network, IPv6Network):
            text = f"[{text}]"
        return f"{text}:{self.ports}"


def parse_network(text: str) -> Network:
    """Read a network in CIDR notation, or one address.

    Raises:
        ValueError: It is none; the message says what would be right.
    """
    # Nothing but these characters is handed on: nft would look up any other word as a host's name.
    if not re.fullmatch(r"[0-9A-Fa-f:.]+(/[0-9]{1,3})?", text):
        raise ValueError("is no network in CIDR notation and no address")
    try:
        network = ip_network(text, strict=False)
    except ValueError as error:
        raise ValueError("is no network in CIDR notation and no address") from error
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        raise ValueError("is an IPv4 network written as IPv6: write it as IPv4")
    if "/" in text and ip_address(text.partition("/")[0]) != network.network_address:
        raise ValueError(f"has bits set beyond its length: is {network} meant?")
    return network


def parse_destination(text: str) -> Destination:
    """Read a network or an address, with or without ports: `10.0.0.0/8`, `10.1.2.3:3128`.

    IPv6 stands in brackets where ports follow: `[2001:db8::1]:3128-3129`.

    Raises:
        ValueError: It is neither; the message says what would be right.
    """
    match = _WITH_PORTS.fullmatch(text)
    if match is None:
        return Destination(parse_network(text))
    first = int(match[3])
    last = int(match[4] or first)
    if not 1 <= first <= last <= _LAST_PORT:
        raise ValueError(f"must have ports from 1 to {_LAST_PORT}, the lower one first")
    return Destination(parse_network(match[1] or match[2]), Ports(first, last))


def split(value: Any) -> list[str]:
    """Take a list of words, or one text with commas between them; blanks around them go.

    Raises:
        ValueError: It is neither, or an entry is no text.
    """
    entries = value.split(",") if isinstance(value, str) else value
    if not isinstance(entries, (list, tuple)):
        raise ValueError(  # noqa: TRY004 - as of any other value of an operator's
            "must be a list, or a text with commas between its entries"
        )
    for position, entry in enumerate(entries, start=1):
        if not isinstance(entry, str):
            raise ValueError(f"entry {position} must be a text")  # noqa: TRY004
    return [entry.strip() for entry in entries]


def parse_each(value: Any, parse: Callable[[str], T]) -> tuple[T, ...]:
    """Read many of anything, as `split` takes them; empty ones, of a comma too many, are left out.

    Raises:
        ValueError: One of them is none; the message names it and its position.
    """
    return tuple(_parse_each(value, parse))


def parse_networks(value: Any) -> tuple[Network, ...]:
    """Read many networks.

    Raises:
        ValueError: One of them is none; the message names it and its position.
    """
    return parse_each(value, parse_network)


def parse_destinations(value: Any) -> tuple[Destination, ...]:
    """Read many destinations.

    Raises:
        ValueError: One of them is none; the message names it and its position.
    """
    return parse_each(value, parse_destination)


def _parse_each(value: Any, parse: Callable[[str], T]) -> Iterator[T]:
    for position, entry in enumerate(split(value), start=1):
        if not entry:
            continue  # a comma too many
        try:
            yield parse(entry)
        except ValueError as error:
            shown = "".join(c if c.isprintable() else "?" for c in entry[:_LONGEST_SHOWN])
            raise ValueError(f"entry {position}, {shown}: {error}") from None


def collapsed(
    networks: Iterable[Network],
) -> tuple[tuple[IPv4Network, ...], tuple[IPv6Network, ...]]:
    """Give the fewest networks that hold the same addresses, IPv4 and IPv6, each in order.

    Raises:
        ValueError: One has a zone, which may be any text: none is written into a script of nft's.
    """
    v4: list[IPv4Network] = []
    v6: list[IPv6Network] = []
    for network in networks:
        if isinstance(network, IPv4Network):
            v4.append(network)
        elif network.network_address.scope_id is None:
            v6.append(network)
        else:
            raise ValueError(f"a network must have no zone (%): {str(network)!r}")
    return tuple(_merged(v4, IPv4Address)), tuple(_merged(v6, IPv6Address))


def _merged(networks: list[N], kind: Callable[[int], Any]) -> Iterator[N]:
    """Do what `ipaddress.collapse_addresses` does, fast where little is to be merged."""
    spans: list[tuple[int, int, N | None]] = []  # its first and last, and whether it is one network
    for network in sorted(networks):
        first = int(network.network_address)
        last = first + (1 << (network.max_prefixlen - network.prefixlen)) - 1
        if not spans or first > spans[-1][1] + 1:
            spans.append((first, last, network))
        elif last > spans[-1][1]:
            spans[-1] = (spans[-1][0], last, None)
    for first, last, whole in spans:
        if whole is not None:
            yield whole
        else:
            yield from summarize_address_range(kind(first), kind(last))
