"""What the actors share, made once."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

from waiting import LIMIT_S

from supervisor.config import parse
from supervisor.firewall.networks import Address
from supervisor.gateways.names import Answer
from supervisor.parts import make_parts, outside_of


def test_what_names_stand_for_is_known_to_a_daemon_that_is_started_while_dns_is_silent(
    tmp_path: Path,
) -> None:
    known = [ip_address("203.0.113.7")]

    def look_up(_host: str) -> tuple[Address, ...]:
        if known:
            return (known.pop(),)
        raise OSError(5, "no name server answers")

    given = {"name": "fleet", "path": "acme", "token": "ghp_secret"}
    config = parse({**given, "state-directory": str(tmp_path)}, "test")
    outside = replace(outside_of(config), look_up=look_up)
    make_parts(config, outside).names.answers(["proxy.example"], LIMIT_S)
    started = make_parts(config, outside).names.answers(["proxy.example"], LIMIT_S)
    last = Answer((ip_address("203.0.113.7"),), "no name server answers")
    assert started == {"proxy.example": last}
