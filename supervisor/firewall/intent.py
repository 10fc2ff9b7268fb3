"""What the operator's settings mean for the firewall of one bridge."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Address, IPv6Interface, ip_address, ip_network
from urllib.parse import urlsplit

from supervisor.config import Config
from supervisor.firewall.networks import Address, Destination, Network, Ports
from supervisor.firewall.policy import Policy
from supervisor.github.scope import GitHubPlace

Interface = IPv4Interface | IPv6Interface
"""An address of this host's on the bridge, with the network there."""
_NEVER_OPENED = tuple(
    ip_network(network)
    for network in (
        # Each host has its own behind them (RFC 6890): this network, loopback, link-local.
        *("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "::/128", "::1/128", "fe80::/10"),
        # Many hosts, or none: multicast, reserved and broadcast, and IPv4 that is spelt as IPv6.
        *("224.0.0.0/4", "240.0.0.0/4", "ff00::/8", "::ffff:0:0/96"),
        # Metadata services elsewhere: Alibaba's, Azure's, and by IPv6 those of AWS and of Google.
        *("100.100.100.200", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254"),
    )
)


@dataclass(frozen=True)
class Endpoint:
    """Something that guests are told of.

    Attributes:
        key: the setting that names it.
        host: its name or address.
        port: of TCP.
        is_opened: it is, whatever the denylist says; not what others than the operator may name.
    """

    key: str
    host: str
    port: int
    is_opened: bool = True

    @property
    def is_address(self) -> bool:
        """Whether the setting names an address, and no name that another may turn to any."""
        try:
            ip_address(self.host)
        except ValueError:
            return False
        return True


def endpoints(config: Config) -> tuple[Endpoint, ...]:
    """Give what the settings name, in their order."""
    proxies = config.proxies
    named = (("http-proxy", proxies.http), ("https-proxy", proxies.https))
    found = [Endpoint(key, proxy.host, proxy.port) for key, proxy in named if proxy]
    if config.dockerhub_mirror:
        found.append(_endpoint("dockerhub-mirror", config.dockerhub_mirror))
    github = GitHubPlace.parse(config.github_url)
    # GitHub's own clouds have many names and addresses, and none of these is private.
    if github.is_server and not _is_loopback(github.url):
        found.append(_endpoint("github-url", github.url))
    if config.policy.url:
        found.append(_endpoint("policy.url", config.policy.url))
    found += [
        Endpoint("ssh-debug", server.host, server.port, is_opened=False)
        for server in config.ssh_debug
    ]
    return tuple(found)


def _endpoint(key: str, url: str) -> Endpoint:
    parts = urlsplit(url)
    port = parts.port or (80 if parts.scheme == "http" else 443)
    return Endpoint(key, parts.hostname or "", port)


def _is_loopback(url: str) -> bool:
    """Tell whether nobody but this host can mean this place: a GitHub to try the daemon with."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True)
class Intent:
    """All that settings which a running daemon can change want of the firewall."""

    denied: tuple[Network, ...]
    allowed: tuple[Destination, ...]
    endpoints: tuple[Endpoint, ...]


def intent_of(config: Config) -> Intent:
    """Give what the settings want."""
    return Intent(config.denylist, config.allowlist, endpoints(config))


def is_known(intent: Intent, known: Mapping[str, tuple[Address, ...]]) -> bool:
    """Tell whether all names of an intent have been looked up, with or without success."""
    return all(endpoint.host in known for endpoint in intent.endpoints)


def policy_of(
    config: Config,
    bridge: Iterable[Interface],
    known: Mapping[str, tuple[Address, ...]],
    *,
    closes_ipv6: bool = False,
) -> Policy:
    """Say what the guests of a bridge may reach.

    Args:
        config: the settings.
        bridge: the host's addresses there.
        known: what the endpoints' names stand for, as far as that is known.
        closes_ipv6: whether guests are to have no IPv6.
    """
    bridge = tuple(bridge)
    ports = [config.signals.port]
    if config.policy.is_here:
        ports.append(config.policy.port)
    host = [config.signals.address] if config.signals.address else _ipv4(bridge)
    opened = [one for one in endpoints(config) if one.is_opened]
    by_address = _open((one for one in opened if one.is_address), known)
    by_name = _open((one for one in opened if not one.is_address), known)
    allowed = {*config.allowlist, *by_address}
    return Policy(
        installation=config.name,
        bridge=config.lxd.network,
        subnets=tuple(one.network for one in bridge),
        gateways=tuple(one.ip for one in bridge),
        services=tuple(_destination(address, port) for port in ports for address in host),
        # In one order, in whatever order a resolver answers: another would be another policy.
        allowed=tuple(sorted(allowed, key=_position)),
        denied=config.denylist,
        elsewhere=tuple(sorted({*by_name} - allowed, key=_position)),
        closes_ipv6=closes_ipv6,
    )


def reachable(address: Address) -> bool:
    """Tell whether an address can mean the same to a guest as to the host.

    What a name stands for is another's to change, and is opened whatever the denylist says: none
    may open what a host has for itself alone, such as a cloud's metadata service.
    """
    has_zone = isinstance(address, IPv6Address) and address.scope_id is not None
    return not has_zone and not any(address in network for network in _NEVER_OPENED)


def _open(
    named: Iterable[Endpoint], known: Mapping[str, tuple[Address, ...]]
) -> Iterator[Destination]:
    for endpoint in named:
        for address in filter(reachable, known.get(endpoint.host, ())):
            yield _destination(address, endpoint.port)


def _ipv4(bridge: Iterable[Interface]) -> list[Address]:
    # The address that the guests are told of: that of `Lxd.bridge_address`.
    return [one.ip for one in bridge if isinstance(one, IPv4Interface)]


def _destination(address: Address, port: int) -> Destination:
    return Destination(ip_network(address), Ports(port, port))


def _position(one: Destination) -> tuple[int, int, int, int, int]:
    network = one.network
    ports = (one.ports.first, one.ports.last) if one.ports else (0, 0)
    return (network.version, int(network.network_address), network.prefixlen, *ports)
