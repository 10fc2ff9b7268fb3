from __future__ import annotations

import socket
import threading
from ipaddress import ip_address
from pathlib import Path

from waiting import LIMIT_S, eventually

from supervisor.firewall.networks import Address
from supervisor.gateways.name_notes import NameNotes
from supervisor.gateways.names import Answer, Names, look_up

FIRST, SECOND = ip_address("10.0.0.1"), ip_address("10.0.0.2")


class Resolver:
    """Answers what a test says, and can be held."""

    def __init__(self) -> None:
        self.answer: tuple[Address, ...] | Exception = (FIRST,)
        self.asked: list[str] = []
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, host: str) -> tuple[Address, ...]:
        self.asked.append(host)
        assert self.gate.wait(LIMIT_S)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_a_name_is_asked_for_each_time() -> None:
    resolver = Resolver()
    names = Names(resolver)
    assert names.answers(["a", "b"], LIMIT_S) == {"a": Answer((FIRST,)), "b": Answer((FIRST,))}
    resolver.answer = (SECOND,)
    assert names.answers(["a"], LIMIT_S) == {"a": Answer((SECOND,))}


def test_an_address_needs_no_resolver() -> None:
    resolver = Resolver()
    answers = Names(resolver).answers(["10.0.0.2", "fd00::1"], LIMIT_S)
    assert answers["fd00::1"].addresses == (ip_address("fd00::1"),)
    assert resolver.asked == []


def test_what_can_not_be_looked_up_keeps_its_last_addresses_and_says_why() -> None:
    resolver = Resolver()
    names = Names(resolver)
    resolver.answer = socket.gaierror(-2, "Name or service not known")
    assert names.answers(["a"], LIMIT_S) == {"a": Answer((), "Name or service not known")}
    resolver.answer = (FIRST,)
    names.answers(["a"], LIMIT_S)
    resolver.answer = socket.gaierror(-3, "Temporary failure in name resolution")
    failed = Answer((FIRST,), "Temporary failure in name resolution")
    assert names.answers(["a"], LIMIT_S) == {"a": failed}


def test_what_a_name_last_stood_for_is_known_to_the_next_process(tmp_path: Path) -> None:
    resolver, path = Resolver(), tmp_path / "names"
    names = Names(resolver, NameNotes(path))
    names.answers(["a", "b"], LIMIT_S)
    resolver.answer = socket.gaierror(-3, "Temporary failure in name resolution")
    names.answers(["a"], LIMIT_S)
    failed = Answer((FIRST,), "Temporary failure in name resolution")
    unknown = Answer((), "Temporary failure in name resolution")
    again = Names(resolver, NameNotes(path))
    # What is not asked for any more is not kept.
    assert again.answers(["a", "b"], LIMIT_S) == {"a": failed, "b": unknown}
    resolver.gate.clear()
    again = Names(resolver, NameNotes(path))
    assert again.answers(["a"], 0.05) == {"a": Answer((FIRST,), "no answer within 0.05 s")}
    resolver.answer = (SECOND,)
    resolver.gate.set()
    eventually(lambda: again.answers(["a"], LIMIT_S)["a"] == Answer((SECOND,)))
    assert NameNotes(path).all() == {"a": (SECOND,)}


def test_a_name_that_hangs_holds_up_no_more_than_the_limit_and_one_thread() -> None:
    resolver = Resolver()
    names = Names(resolver)
    names.answers(["a"], LIMIT_S)
    resolver.gate.clear()
    late = Answer((FIRST,), "no answer within 0.05 s")
    assert names.answers(["a"], 0.05) == {"a": late}
    assert names.answers(["a", "10.0.0.2"], 0.05)["a"] == late
    assert resolver.asked == ["a"] * 2
    resolver.answer = (SECOND,)
    resolver.gate.set()
    eventually(lambda: names.answers(["a"], LIMIT_S)["a"] == Answer((SECOND,)))


def test_the_hosts_own_resolver_answers() -> None:
    assert ip_address("127.0.0.1") in look_up("localhost")


def test_a_name_that_is_none_is_an_error_and_no_crash() -> None:
    answer = Names().answers(["a" * 64 + ".example"], LIMIT_S)["a" * 64 + ".example"]
    assert answer.addresses == ()
    assert answer.error
