"""What an operator may write of the network: any value that the configuration takes."""

import string
from base64 import b64encode
from typing import Any

from hypothesis import strategies as st

from supervisor.config import parse
from supervisor.guest.network import GuestNetwork
from supervisor.runners.blueprints import network_of

_WORD = string.ascii_letters + string.digits
_USER = _WORD + "._%+-"

ports = st.integers(1, 65535)
names = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,20}[A-Za-z0-9])?", fullmatch=True)
hosts = names | st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6).map(lambda ip: f"[{ip}]")
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,20}[A-Za-z0-9])?"
servers_hosts = st.from_regex(
    rf"({_LABEL}\.){{0,3}}[A-Za-z]([A-Za-z0-9-]{{0,8}}[A-Za-z0-9])?", fullmatch=True
) | st.ip_addresses().map(str)
fingerprints = st.binary(min_size=32, max_size=32).map(
    lambda digest: f"SHA256:{b64encode(digest).decode().rstrip('=')}"
)


@st.composite
def addresses_of_proxies(draw: st.DrawFn) -> str:
    scheme = draw(st.sampled_from(["http", "https"]))
    user, password = draw(st.text(_USER, min_size=1)), draw(st.text(_USER))
    login = draw(st.sampled_from(["", f"{user}@", f"{user}:{password}@"]))
    slash = draw(st.sampled_from(["", "/"]))
    return f"{scheme}://{login}{draw(hosts)}:{draw(ports)}{slash}"


@st.composite
def mirrors(draw: st.DrawFn) -> str:
    path = draw(st.text(_WORD + "._~/-"))
    return f"https://{draw(hosts)}:{draw(ports)}/{path}"


@st.composite
def servers(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "host": draw(servers_hosts),
        "port": draw(ports),
        "rsa-fingerprint": draw(fingerprints),
        "ed25519-fingerprint": draw(fingerprints),
    }


exceptions = st.text(_WORD + ".:/*[]_-", min_size=1)


@st.composite
def networks(draw: st.DrawFn) -> GuestNetwork:
    """Draw what guests are told, as an operator's words are read."""
    given = {
        "http-proxy": draw(st.none() | addresses_of_proxies()),
        "https-proxy": draw(st.none() | addresses_of_proxies()),
        "no-proxy": draw(st.lists(exceptions)),
        "dockerhub-mirror": draw(st.none() | mirrors()),
        "ssh-debug": draw(st.lists(servers(), max_size=3)),
    }
    return network_of(parse({"name": "fleet", "path": "acme", "token": "x", **given}, "drawn"))
