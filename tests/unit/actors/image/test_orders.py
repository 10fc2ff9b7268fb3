"""A build that an operator orders."""

from __future__ import annotations

from waiting import eventually

from supervisor.messages.image import BuildOrdered
from supervisor.messages.signals import SignalsListening
from supervisor.work.image import ImageFailed
from tests.unit.actors.image.play import Play, built


def test_an_ordered_build_is_done_though_nothing_has_changed(building: Play) -> None:
    first = built(building)
    ordered = building.order()
    assert isinstance(ordered, BuildOrdered)
    eventually(lambda: building.detail("orders") == ordered.done_by)
    assert building.detail("incarnation") == ordered.incarnation
    assert building.scene.builds[-1]["forced"] is True
    building.starts_from(building.newest.fingerprint)
    assert building.newest.fingerprint != first.fingerprint


def test_orders_during_a_build_are_one_more_build(building: Play) -> None:
    built(building)
    gate = building.scene.hold("build")
    orders = [building.order()]
    eventually(lambda: len(building.scene.builds) == 2)
    orders += [building.order(), building.order()]
    assert [one.done_by for one in orders] == [1, 2, 3]
    gate.set()
    eventually(lambda: building.detail("orders") == 3)
    building.settle()
    assert len(building.scene.builds) == 3


def test_an_order_outlasts_a_change_of_the_configuration(building: Play) -> None:
    built(building)
    building.tell(SignalsListening(""))
    building.order()
    building.reconfigure(virtual_machines=3)
    building.settle()
    assert building.detail("lacks") == "guests can't report yet"
    building.furnish()
    eventually(lambda: building.detail("orders") == 1)


def test_an_ordered_build_that_fails_is_done_and_says_so(building: Play) -> None:
    built(building)
    building.scene.faults["build"] = ImageFailed("no route to anywhere")
    building.order()
    eventually(lambda: building.detail("orders") == 1)
    assert building.detail("error") == "no route to anywhere"
