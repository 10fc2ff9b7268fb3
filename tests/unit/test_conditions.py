from __future__ import annotations

from conditions import explained

NUMBER = 7


def test_of_a_lambda_both_sides_of_its_comparison_are_told() -> None:
    names = ["two", "one"]
    told = explained(lambda: sorted(names) == ["one"], seen=False)
    assert told.startswith("assert ['one', 'two'] == ['one']\n")
    assert "Left contains one more item: 'two'" in told


def test_what_a_lambda_sees_of_its_module_and_of_its_defaults_is_told() -> None:
    assert explained(lambda: NUMBER == 8, seen=False).startswith("assert 7 == 8")
    assert explained(lambda wanted=9: wanted == NUMBER, seen=False).startswith("assert 9 == 7")


def test_of_another_condition_is_told_what_it_has_said() -> None:
    def missing() -> list[str]:
        return []

    assert explained(missing, []) == "last seen: []"
    assert explained([].copy, []) == "last seen: []"


def test_of_several_lambdas_in_a_line_is_told_what_they_have_said() -> None:
    one, other = (lambda: NUMBER == 8), (lambda: NUMBER == 9)
    assert explained(one, seen=False) == explained(other, seen=False) == "last seen: False"


def test_what_holds_when_it_is_looked_at_once_more_came_too_late() -> None:
    told = explained(lambda: NUMBER == 7, seen=False)
    assert told == "assert NUMBER == 7\nholds now, too late"


def test_what_can_not_be_looked_at_once_more_is_told() -> None:
    found: dict[str, int] = {}
    told = explained(lambda: found["one"] == 1, seen=False)
    assert told == "assert found['one'] == 1\nnow raises KeyError('one')"
