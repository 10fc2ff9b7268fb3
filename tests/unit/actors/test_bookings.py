from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from supervisor.actors.bookings import Bookings, Taker
from supervisor.messages.tokens import JitConfigMade

HERE = "https://github.com/acme"
NAME = "fleet-aaaaaaaa"
MADE = JitConfigMade(1, "secret", HERE)


def test_what_a_runner_has_asked_for_is_the_runners() -> None:
    bookings = Bookings()
    assert bookings.ask(NAME)
    assert not bookings.ask(NAME)  # it is under way
    assert bookings.made(NAME, MADE) is Taker.RUNNER
    assert bookings.take(NAME) is None
    assert not bookings.is_under_way(NAME)


def test_what_was_made_ahead_is_kept_until_its_runner_asks_and_given_once() -> None:
    bookings = Bookings()
    assert bookings.ask_ahead(NAME)
    assert bookings.made(NAME, MADE) is Taker.STOCK
    assert not bookings.ask_ahead(NAME)
    assert bookings.take(NAME) == MADE
    assert bookings.take(NAME) is None


def test_what_is_asked_for_while_it_is_made_ahead_is_not_begun_again() -> None:
    bookings = Bookings()
    bookings.ask_ahead(NAME)
    assert not bookings.ask(NAME)
    assert bookings.made(NAME, MADE) is Taker.RUNNER


def test_a_failure_concerns_a_runner_only_if_it_has_asked() -> None:
    bookings = Bookings()
    bookings.ask_ahead(NAME)
    assert not bookings.failed(NAME)
    bookings.ask(NAME)
    assert bookings.failed(NAME)


def test_what_is_let_go_while_it_is_made_is_deleted_when_it_is_there() -> None:
    bookings = Bookings()
    bookings.ask_ahead(NAME)
    assert bookings.forget_ahead() == ()
    assert bookings.is_forgotten(NAME)
    assert bookings.made(NAME, MADE) is Taker.NOBODY


def test_what_is_kept_and_let_go_is_forgotten_and_given_to_be_deleted() -> None:
    bookings = Bookings()
    bookings.ask_ahead(NAME)
    bookings.made(NAME, MADE)
    assert bookings.forget_ahead() == ((NAME, MADE),)
    assert bookings.is_forgotten(NAME)


def test_what_a_runner_has_asked_for_is_not_let_go() -> None:
    bookings = Bookings()
    bookings.ask(NAME)
    assert bookings.forget_ahead() == ()
    assert not bookings.is_forgotten(NAME)
    assert bookings.made(NAME, MADE) is Taker.RUNNER


def test_only_the_very_registration_that_is_deleted_is_kept_no_longer() -> None:
    bookings = Bookings()
    bookings.ask_ahead(NAME)
    bookings.made(NAME, MADE)
    bookings.deleted(NAME, "https://github.com/other", MADE.runner_id)
    bookings.deleted(NAME, HERE, MADE.runner_id + 1)
    bookings.deleted("fleet-bbbbbbbb", HERE, MADE.runner_id)
    assert not bookings.ask_ahead(NAME)
    bookings.deleted(NAME, HERE, MADE.runner_id)
    assert bookings.take(NAME) is None
    assert bookings.ask_ahead(NAME)


class EachRegistrationHasOneTaker(RuleBasedStateMachine):
    """Whatever comes in whatever order, none is lost, given twice, or given after its deletion."""

    names = st.sampled_from(["a", "b", "c"])

    def __init__(self) -> None:
        super().__init__()
        self.bookings = Bookings()
        self.under_way: list[str] = []
        self.kept: dict[str, JitConfigMade] = {}
        self.answered: set[int] = set()
        self.number = 0

    def _settle(self, made: JitConfigMade) -> None:
        assert made.runner_id not in self.answered
        self.answered.add(made.runner_id)

    @rule(name=names)
    def ask(self, name: str) -> None:
        if self.bookings.is_forgotten(name):
            return
        if made := self.bookings.take(name):
            assert self.kept.pop(name) == made
            self._settle(made)
        elif self.bookings.ask(name):
            self.under_way.append(name)

    @rule(name=names)
    def ask_ahead(self, name: str) -> None:
        if self.bookings.ask_ahead(name):
            self.under_way.append(name)

    @precondition(lambda self: self.under_way)
    @rule(data=st.data(), is_good=st.booleans())
    def end(self, data: Any, *, is_good: bool) -> None:
        name = data.draw(st.sampled_from(self.under_way))
        self.under_way.remove(name)
        if not is_good:
            self.bookings.failed(name)
            return
        self.number += 1
        made = JitConfigMade(self.number, "secret", HERE)
        if self.bookings.made(name, made) is Taker.STOCK:
            assert name not in self.kept
            self.kept[name] = made
        else:
            self._settle(made)

    @rule()
    def forget_ahead(self) -> None:
        for name, made in self.bookings.forget_ahead():
            assert self.kept.pop(name) == made
            self.bookings.deleted(name, made.place, made.runner_id)
            self._settle(made)

    @invariant()
    def none_is_lost(self) -> None:
        kept = {made.runner_id for made in self.kept.values()}
        assert kept | self.answered == set(range(1, self.number + 1))
        assert sorted(self.under_way) == [n for n in "abc" if self.bookings.is_under_way(n)]


TestEachRegistrationHasOneTaker = EachRegistrationHasOneTaker.TestCase
