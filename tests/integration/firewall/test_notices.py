"""What the kernel tells of its table, heard without a program in between."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, Queue

import pytest
from guest_policies import TABLE, a_policy
from packets import listening_in

from sandbox.namespaces import Namespace, namespace
from supervisor.firewall import ruleset
from supervisor.gateways import nftables_notices
from supervisor.gateways.nftables import Nftables
from supervisor.gateways.nftables_notices import Listen

_LIMIT_S = 10.0


@pytest.fixture
def host() -> Iterator[Namespace]:
    """A network namespace with the table."""
    with namespace() as made:
        made.run("nft", "-f", "-", script=ruleset.render(a_policy()))
        yield made


@contextmanager
def watched(listen: Listen) -> Iterator[Queue[None]]:
    """Give what grows by one whenever a change is told."""
    told: Queue[None] = Queue()
    nft = Nftables(listen=listen)
    monitor = nft.monitor(lambda: told.put(None), TABLE)
    try:
        yield told
    finally:
        monitor.close()
    _settle(told)
    assert told.empty(), "nothing is told after its end"


def _settle(told: Queue[None]) -> int:
    """Take what is told until nothing more is, and say how much."""
    number = 0
    while True:
        try:
            told.get(timeout=0.3)
        except Empty:
            return number
        number += 1


@pytest.mark.parametrize(
    "deed",
    [
        "add element inet {} denied4 {{ 203.0.113.7 }}",
        "insert rule inet {} guest accept",
        "flush chain inet {} guest",
        "add chain inet {} another",
        "add table inet {} {{ flags dormant; }}",
        "delete table inet {}",
        "flush ruleset",
    ],
)
def test_whatever_is_done_to_the_table_is_told_from_the_first_moment(
    host: Namespace, deed: str
) -> None:
    with watched(listening_in(host)) as told:
        host.run("nft", deed.format(TABLE))
        told.get(timeout=_LIMIT_S)


def test_a_change_of_another_table_is_not_told(host: Namespace) -> None:
    others = f"table ip nat {{ chain c {{ }}; }}; table inet {TABLE}x {{ chain c {{ accept; }}; }}"
    with watched(listening_in(host)) as told:
        host.run("nft", "-f", "-", script=others)
        assert _settle(told) == 0
        host.run("nft", f"flush chain inet {TABLE} guest")
        told.get(timeout=_LIMIT_S)


def test_tables_that_nfts_own_monitor_dies_of_do_no_harm(host: Namespace) -> None:
    script = (
        "table ip theirs { ct timeout t { protocol tcp; l3proto ip; policy = { close : 9 }; }; }"
    )
    with watched(listening_in(host)) as told:
        host.run("nft", "-f", "-", script=script)
        host.run("nft", "delete table ip theirs")
        assert _settle(told) == 0
        host.run("nft", f"flush chain inet {TABLE} guest")
        told.get(timeout=_LIMIT_S)


def test_fifty_thousand_changes_are_told_in_a_few_words(host: Namespace) -> None:
    elements = ",".join(f"11.{n >> 8}.{n & 255}.0" for n in range(0, 50_000, 2))
    with watched(listening_in(host)) as told:
        script = f"add element inet {TABLE} denied4 {{ {elements} }}"
        host.run("nft", "-f", "-", script=script)
        told.get(timeout=_LIMIT_S)
        assert _settle(told) < 50


def test_more_than_there_is_room_for_counts_as_a_change(host: Namespace) -> None:
    def narrow() -> socket.socket:
        opened = listening_in(host)()
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        return opened

    told: Queue[None] = Queue()
    goes_on = threading.Event()

    def changed() -> None:
        told.put(None)
        goes_on.wait(_LIMIT_S)

    monitor = Nftables(listen=narrow).monitor(changed, TABLE)
    try:
        host.run("nft", f"add chain inet {TABLE} first")
        told.get(timeout=_LIMIT_S)
        for number in range(20):
            host.run("nft", f"add table ip theirs{number}")
        goes_on.set()
        told.get(timeout=_LIMIT_S)
    finally:
        goes_on.set()
        monitor.close()


def _failing() -> socket.socket:
    """Make a socket on which nothing can be heard: who it is connected to is not there."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
        nobody.bind(("127.0.0.1", 0))
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.connect(nobody.getsockname())
    opened.send(b"is anybody there?")
    return opened


def _refused() -> socket.socket:
    raise PermissionError(errno.EPERM, "Operation not permitted")


@pytest.mark.parametrize("first", [_failing, _refused])
def test_while_nothing_can_be_heard_the_table_is_looked_at_and_listened_to_again(
    host: Namespace, first: Listen
) -> None:
    attempts = [first, first]

    def listen() -> socket.socket:
        return attempts.pop()() if attempts else listening_in(host)()

    with watched(listen) as told:
        for _ in range(2):
            told.get(timeout=_LIMIT_S)
        assert _settle(told) == 0
        host.run("nft", f"flush chain inet {TABLE} guest")
        told.get(timeout=_LIMIT_S)


def test_who_can_not_listen_is_closed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # Longer than any test may take, if it were waited for.
    for pause in ("_AGAIN_S", "_MOST_AGAIN_S", "_END_LIMIT_S"):
        monkeypatch.setattr(nftables_notices, pause, 3600.0)
    with watched(_refused) as told:
        pass
    assert told.empty()
