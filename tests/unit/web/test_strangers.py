"""Who is one client of a web server for strangers."""

from __future__ import annotations

import pytest

from supervisor.web.strangers import client_of


@pytest.mark.parametrize(
    ("peer", "client"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1:2:3", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_a_client_of_ipv6_is_all_that_has_its_network(peer: str, client: str) -> None:
    assert client_of(peer) == client
