from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from supervisor.upgrades import Looks


def test_the_first_order_is_due_at_once() -> None:
    looks = Looks().order(3.0, 10.0)
    assert looks.is_due(3.0)
    assert looks.done_by == 1


def test_what_may_be_a_while_old_is_looked_for_a_while_after_the_last_look() -> None:
    looks = Looks().begin(5.0).end().order(6.0, 10.0)
    assert not looks.is_due(14.9)
    assert looks.is_due(15.0)
    assert looks.done_by == 2


def test_the_more_urgent_order_counts() -> None:
    looks = Looks().begin(5.0).end().order(6.0, 10.0)
    assert looks.order(7.0, 0.0).order(8.0, 10.0).is_due(8.0)


def test_an_order_during_a_look_is_due_after_it() -> None:
    looks = Looks().begin(0.0).order(1.0, 0.0)
    assert not looks.is_due(2.0)
    assert looks.done_by == 2
    assert looks.end().is_due(2.0)


def test_many_orders_during_a_look_have_one_done() -> None:
    looks = Looks().order(0.0, 0.0).begin(0.0)
    for _ in range(5):
        looks = looks.order(1.0, 0.0)
    assert looks.end().begin(2.0).end() == Looks(done=2, began=2.0)


@given(st.lists(st.tuples(st.sampled_from(["order", "end"]), st.floats(0, 60)), max_size=30))
def test_what_was_ordered_is_done_by_when_it_was_said(steps: list[tuple[str, float]]) -> None:
    looks, now, promised = Looks(), 0.0, 0
    for step, later in steps:
        now += later
        if step == "order":
            looks = looks.order(now, 0.0)
            promised = looks.done_by
        elif looks.under_way:
            looks = looks.end()
        if looks.is_due(now):
            looks = looks.begin(now)
    while looks.under_way:
        looks = looks.end()
        looks = looks.begin(now) if looks.is_due(now) else looks
    assert looks.done >= promised
