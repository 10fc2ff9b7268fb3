from __future__ import annotations

from typing import TypeVar

import pytest

from supervisor.github.exchange import Answer, Talk
from supervisor.github.group_number import GroupNumber
from supervisor.github.scope import Scope

SCOPE = Scope.parse("acme")
T = TypeVar("T")


class Looks:
    """GitHub, which has one group, and a clock."""

    def __init__(self) -> None:
        self.number = 7
        self.asked = 0
        self.now = 0.0

    def lead(self, talk: Talk[T]) -> T:
        try:
            next(talk)
            while True:
                self.asked += 1
                group = {"id": self.number, "name": "builders"}
                talk.send(Answer(200, {}, {"total_count": 1, "runner_groups": [group]}))
        except StopIteration as end:
            found: T = end.value
            return found


@pytest.fixture
def looks() -> Looks:
    return Looks()


@pytest.fixture
def group(looks: Looks) -> GroupNumber:
    return GroupNumber(lambda: looks.now)


def test_it_is_looked_up_once_in_ten_minutes(looks: Looks, group: GroupNumber) -> None:
    for _ in range(3):
        assert looks.lead(group.find(SCOPE, "builders")) == 7
    assert looks.asked == 1
    looks.number, looks.now = 8, 599.0
    assert looks.lead(group.find(SCOPE, "builders")) == 7
    looks.now = 600.0
    assert looks.lead(group.find(SCOPE, "builders")) == 8


def test_it_is_looked_up_again_after_trouble(looks: Looks, group: GroupNumber) -> None:
    looks.lead(group.find(SCOPE, "builders"))
    looks.number = 8
    group.forget()
    assert looks.lead(group.find(SCOPE, "builders")) == 8


def test_another_group_has_another_number(looks: Looks, group: GroupNumber) -> None:
    assert looks.lead(group.find(SCOPE, "builders")) == 7
    assert looks.lead(group.find(SCOPE, "default")) == 1
    assert looks.lead(group.find(SCOPE, "builders")) == 7
