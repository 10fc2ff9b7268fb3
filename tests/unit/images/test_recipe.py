from dataclasses import fields, replace
from typing import Any

import pytest

from supervisor.images.recipe import Recipe

RECIPE = Recipe("base", "container", "x64", "application", "script", ("git", "jq"))
OTHER: dict[str, Any] = {"packages": ("git",), "needs_aproxy": True}


@pytest.mark.parametrize("name", [field.name for field in fields(Recipe)])
def test_whatever_differs_makes_another_digest(name: str) -> None:
    other = replace(RECIPE, **{name: OTHER.get(name, "another")})
    assert other.digest != RECIPE.digest


def test_neither_the_order_of_packages_nor_repeats_make_another() -> None:
    assert replace(RECIPE, packages=("jq", "git", "jq")).digest == RECIPE.digest


def test_what_moves_from_one_input_to_the_next_makes_another() -> None:
    one, two = replace(RECIPE, base="ab", script="c"), replace(RECIPE, base="a", script="bc")
    assert one.digest != two.digest
