from __future__ import annotations

from supervisor.policy_service.recent import Recent


def test_what_was_set_longest_ago_goes_when_the_weight_is_too_much() -> None:
    table: Recent[str, str] = Recent(most=10, heaviest=6, weigh=len)
    table["a"], table["b"], table["a"] = "1234", "1234", "12345"
    assert table == {"a": "12345", "b": "1234"}
    table["c"] = "12"
    assert table == {"a": "12345", "c": "12"}


def test_what_is_too_heavy_is_not_kept_and_neither_is_what_it_replaces() -> None:
    table: Recent[str, str] = Recent(most=10, heaviest=6, weigh=len)
    table["a"], table["b"] = "1234", "12"
    table["a"] = "1234567"
    assert table == {"b": "12"}
