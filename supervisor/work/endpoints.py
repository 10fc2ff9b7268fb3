"""What the names in the settings stand for, and what of it runners can't be given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from supervisor.firewall import debug_servers
from supervisor.firewall.intent import endpoints, reachable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from supervisor.config import Config
    from supervisor.firewall.debug_servers import Server
    from supervisor.firewall.intent import Endpoint
    from supervisor.firewall.networks import Address, Network
    from supervisor.gateways.names import Answer, Names

_LOOKUP_LIMIT_S = 5.0


@dataclass(frozen=True)
class Found:
    """What was found out of the endpoints.

    Attributes:
        addresses: what their names stand for.
        servers: why runners can't reach a tmate server; empty for those that they can.
        warnings: what is not as it should be.
    """

    addresses: Mapping[str, tuple[Address, ...]]
    servers: Mapping[Server, str]
    warnings: tuple[str, ...]


def look_up(names: Names, config: Config, own: tuple[Network, ...]) -> Found:
    """Look all endpoints up.

    Args:
        names: the resolver.
        config: the settings.
        own: this host's addresses.
    """
    answers = names.answers({one.host for one in endpoints(config)}, _LOOKUP_LIMIT_S)
    addresses = {host: answer.addresses for host, answer in answers.items()}
    servers = debug_servers.judged(config, addresses, own)
    warnings = (
        *_unresolved(config, answers),
        *_unopened(config, addresses, own),
        *_left_out(servers),
        *filter(None, (names.warning,)),
    )
    return Found(addresses, servers, warnings)


def _unresolved(config: Config, answers: Mapping[str, Answer]) -> Iterator[str]:
    for one in endpoints(config):
        answer = answers[one.host]
        if answer.error:
            so = _meanwhile(one, ", ".join(map(str, answer.addresses)))
            yield f"{one.key}: {one.host} can't be looked up ({answer.error}); {so}"


def _meanwhile(endpoint: Endpoint, known: str) -> str:
    """Say what becomes of an endpoint whose name can't be looked up.

    Args:
        endpoint: it.
        known: the addresses of before; empty if there are none.
    """
    if not endpoint.is_opened:
        if known:
            return f"whether runners are told of it goes by its last addresses: {known}"
        return "runners are not told of it until it has an address"
    return f"it stays open at {known}" if known else "it is open only where the denylist lets it be"


def _unopened(
    config: Config, addresses: Mapping[str, tuple[Address, ...]], own: tuple[Network, ...]
) -> Iterator[str]:
    opened = [one for one in endpoints(config) if one.is_opened]
    for endpoint, address in ((one, each) for one in opened for each in addresses[one.host]):
        key, host = endpoint.key, endpoint.host
        if not reachable(address):
            yield (
                f"{key}: {host} is {address} to this host, which is nothing that guests could "
                "reach, and is not opened: name an address that they can"
            )
        elif not endpoint.is_address and any(address in network for network in own):
            yield (
                f"{key}: {host} is {address}, an address of this host, which no name opens: "
                "name the address itself"
            )


def _left_out(servers: Mapping[Server, str]) -> Iterator[str]:
    for (host, port), obstacle in servers.items():
        if obstacle and obstacle != debug_servers.NO_ADDRESS:  # that it can't be looked up says so
            yield (
                f"ssh-debug: runners are not told of {host} port {port}, which they can't reach: "
                f"{obstacle}; what opens it is its address and port in the allowlist"
            )
