"""aproxy in the guest: a transparent proxy that takes what the guest's own rules redirect to it."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address

from supervisor.firewall.networks import Network, collapsed
from supervisor.web.proxies import Proxy

PORT = 54969
"""Where aproxy listens in the guest."""

_HTTPS = 443
_RULESET = """\
table inet github-runner-aproxy
delete table inet github-runner-aproxy
table inet github-runner-aproxy {{
    set direct {{
        type ipv4_addr
        flags interval
        elements = {{ {direct} }}
    }}
    set ports {{
        type inet_service
        elements = {{ {ports} }}
    }}
    chain redirected {{
        fib daddr type local return comment "what the guest serves itself"
        ip daddr @direct return comment "what is excluded, and the host"
        meta nfproto ipv4 tcp dport @ports redirect to :{port} comment "all else goes to aproxy"
    }}
    chain output {{
        type nat hook output priority -100
        jump redirected comment "the guest's own processes"
    }}
    chain prerouting {{
        type nat hook prerouting priority -100
        jump redirected comment "containers in the guest"
    }}
    chain refused {{
        fib daddr type local return comment "what the guest serves itself"
        ip daddr @direct return comment "what is excluded, and the host"
{quic}\
        ip6 daddr 2000::/3 tcp dport @ports reject with tcp reset comment "aproxy has IPv4 only"
    }}
    chain filter_output {{
        type filter hook output priority 0
        jump refused comment "the guest's own processes"
    }}
    chain filter_forward {{
        type filter hook forward priority 0
        jump refused comment "containers in the guest"
    }}
}}
"""
_QUIC = f"""\
        meta nfproto ipv4 udp dport {_HTTPS} reject comment "QUIC has no proxy, TCP has"
        ip6 daddr 2000::/3 udp dport {_HTTPS} reject comment "as above"
"""


@dataclass(frozen=True)
class Aproxy:
    """What a guest's aproxy does.

    Attributes:
        proxy: Where it forwards to.
        ports: The TCP ports that are redirected to it.
        excluded: The IPv4 networks that aren't.
    """

    proxy: Proxy
    ports: tuple[int, ...]
    excluded: tuple[IPv4Network, ...]

    def ruleset(self, direct: Iterable[IPv4Address] = ()) -> str:
        """Return the rules that a guest loads with `nft -f`, in place of those it had.

        What would go around aproxy is refused, so that clients take the way through it at once:
        QUIC where HTTPS is redirected, and the same ports over IPv6.

        Args:
            direct: Addresses that are never redirected, whatever is excluded: the host's own.
        """
        always = (IPv4Network("127.0.0.0/8"), *map(IPv4Network, direct))
        networks, _ = collapsed((*self.excluded, *always))
        return _RULESET.format(
            direct=", ".join(map(str, networks)),
            ports=", ".join(map(str, self.ports)),
            port=PORT,
            quic=_QUIC if _HTTPS in self.ports else "",
        )


def fault_of(proxy: Proxy, ports: Collection[int], excluded: Iterable[Network]) -> str:
    """Say why aproxy could not forward to a proxy; empty if it can.

    It takes no credentials, plain HTTP and no IPv6 (aproxy 0.2.5, its snap's configure hook). What
    it sends to the proxy must not be redirected to itself.

    Args:
        proxy: Where it forwards to.
        ports: The TCP ports that are redirected to it.
        excluded: The networks that aren't.
    """
    if proxy.has_credentials:
        return f"aproxy can't log in at a proxy: name {proxy} without user and password"
    if proxy.scheme != "http":
        return f"aproxy speaks plain HTTP to its proxy: {proxy} must begin with http://"
    try:
        address = ip_address(proxy.host)
    except ValueError:
        address = None  # a name: what it stands for is not known
    if isinstance(address, IPv6Address):
        return f"aproxy speaks IPv4 only: {proxy} must be at an IPv4 address"
    is_excluded = address and any(address in network for network in excluded)
    if proxy.port in ports and not is_excluded:
        listing = ", ".join(map(str, ports))
        return (
            f"what aproxy sends to {proxy} would be redirected to itself: take a port that is not "
            f"redirected (aproxy-redirect-ports: {listing}), or its IPv4 address as the proxy's "
            f"host and in aproxy-exclude-addresses"
        )
    return ""
