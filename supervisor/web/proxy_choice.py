"""Which proxy, if any, an address is asked through.

Entries of `no_proxy` mean what they mean to requests, and networks may be IPv6 as well. Names are
not resolved: only an address that is written as one is in a network.
"""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from supervisor.web.proxies import Proxies, Proxy


def proxy_for(url: str, proxies: Proxies) -> Proxy | None:
    """Choose the proxy for an address; None if it is asked directly, as this machine itself is.

    Args:
        url: What is asked for, such as `https://api.github.com`.
        proxies: Those that are configured.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    if _is_this_machine(host) or any(
        _is_meant(entry.lower(), host, parts.port) for entry in proxies.exceptions
    ):
        return None
    return proxies.https if parts.scheme == "https" else proxies.http


def _is_this_machine(host: str) -> bool:
    address = _address(host)
    if address is not None:
        return address.is_loopback
    return f".{host}".endswith(".localhost")


def _is_meant(entry: str, host: str, port: int | None) -> bool:
    if entry == "*":
        return True
    address = _address(host)
    if address is not None and _holds(entry, address):
        return True
    written = f"[{host}]" if ":" in host else host
    named = (host, written) if port is None else (host, written, f"{written}:{port}")
    if address is not None:
        return entry in named
    domain = entry.lstrip(".")
    return bool(domain) and any(f".{name}".endswith(f".{domain}") for name in named)


def _holds(entry: str, address: IPv4Address | IPv6Address) -> bool:
    try:
        return address in ip_network(entry.strip("[]"), strict=False)
    except ValueError:  # a name, or an address with a port
        return False


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
