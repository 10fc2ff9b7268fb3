"""What each state of an actor says of it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import get_args

import pytest

from supervisor.cli.tables import stage_text
from supervisor.lifecycle import Stage
from supervisor.status.states import STATES, Soundness, is_failing
from supervisor.supervision.children import ChildState
from supervisor.upgrades import standing

ROOT = Path(__file__).parents[3]
HOMES = ("actors", "supervision", "images", "upgrades", "github/report.py", "status/outlook.py")
"""Where actors are, and what makes words for them."""
PUBLISHING = {"publish", "_publish", "say", "Snapshot"}
"""The calls whose first argument is a state, by the name of what is called."""
KNOWN: Mapping[str, set[str]] = {
    "state": set(),  # what `say` and `publish` themselves pass on
    "str(life.stage)": set(),  # of runners' actors: no words of their own
    "State": set(get_args(standing.State)),
}
"""Expressions and types of which the source does not show by itself which words they may be."""
OF_SUPERVISORS = {*(each.value for each in ChildState if each is not ChildState.UP), "restarting"}
"""What is shown of a child that has published nothing, or does not live."""

Functions = list[ast.FunctionDef]


def functions() -> Functions:
    paths = [ROOT / "supervisor" / home for home in HOMES]
    files = [file for path in paths for file in ([path] if path.is_file() else path.rglob("*.py"))]
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text("utf-8")))]
    return [node for node in nodes if isinstance(node, ast.FunctionDef)]


def called(call: ast.Call) -> str:
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def published() -> set[str]:
    """Give each word that any actor can publish, and as it stands what no word can be made of."""
    everywhere = functions()
    found: set[str] = set()
    for function in everywhere:
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and called(node) in PUBLISHING and node.args:
                found |= words(node.args[0], function, everywhere)
    return found


def words(expression: ast.expr, within: ast.FunctionDef, everywhere: Functions) -> set[str]:
    """Give the words that an expression can be; itself, as a text, where that is not to be seen."""
    if isinstance(expression, ast.Constant):
        return {str(expression.value)}
    if isinstance(expression, ast.IfExp):
        branches = (expression.body, expression.orelse)
        return set().union(*(words(each, within, everywhere) for each in branches))
    text = ast.unparse(expression)
    if isinstance(expression, ast.Name):
        values = list(assigned(text, within, everywhere))
        given = {word for value, home in values for word in words(value, home, everywhere)}
        if given:
            return given
    return KNOWN.get(text, {text})


def assigned(
    name: str, within: ast.FunctionDef, everywhere: Functions
) -> Iterator[tuple[ast.expr, ast.FunctionDef]]:
    """Give what is assigned to a name in a function, and by what a function that it calls returns.

    Each with the function that it stands in.
    """
    for node in ast.walk(within):
        if not isinstance(node, ast.Assign):
            continue
        (target,) = node.targets
        if not isinstance(target, ast.Tuple):
            if ast.unparse(target) == name:
                yield node.value, within
            continue
        names = [ast.unparse(each) for each in target.elts]
        if name not in names:
            continue
        place = names.index(name)
        if isinstance(node.value, ast.Tuple):
            yield node.value.elts[place], within
        elif isinstance(node.value, ast.Call):
            for function in everywhere:
                if function.name == called(node.value):
                    yield from returned(place, function)


def returned(place: int, function: ast.FunctionDef) -> Iterator[tuple[ast.expr, ast.FunctionDef]]:
    """Give what a function returns at a place of its tuple: the type, where that says it."""
    types = getattr(function.returns, "slice", None)
    if isinstance(types, ast.Tuple) and ast.unparse(types.elts[place]) in KNOWN:
        yield types.elts[place], function
        return
    for node in ast.walk(function):
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
            yield node.value.elts[place], function


def test_the_table_has_each_word_that_is_published_anywhere_and_no_other() -> None:
    assert published() | OF_SUPERVISORS == set(STATES)


def test_a_runners_stage_is_no_state_of_the_table() -> None:
    assert not {stage.value for stage in Stage} & (set(STATES) - {"ready"})
    assert STATES[Stage.READY.value] is Soundness.SOUND


def test_the_guide_tells_of_each_state() -> None:
    guide = (ROOT / "docs" / "looking.md").read_text(encoding="utf-8")
    table = guide.partition("\n| state | means |\n")[2].partition("\n\n")[0]
    told = {word for line in table.splitlines() for word in re.findall("`([a-z]+)`", line)}
    assert told >= set(STATES)


@pytest.mark.parametrize(
    ("state", "colour", "failing"),
    [
        ("recording", "green", False),
        ("building", "yellow", False),
        ("reconnecting", "red", True),
        ("of tomorrow", "cyan", True),
    ],
)
def test_colour_and_judgement_are_of_one_table(state: str, colour: str, *, failing: bool) -> None:
    assert stage_text(state).style == colour
    assert is_failing(state) is failing
