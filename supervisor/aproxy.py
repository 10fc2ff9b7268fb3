"""aproxy in the guest: a transparent proxy that takes what the guest's own rules redirect to it."""

from collections.abc import Collection, Iterable
from ipaddress import IPv6Address, ip_address

from supervisor.firewall.networks import Network
from supervisor.proxies import Proxy


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
