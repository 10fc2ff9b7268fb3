"""The table of failures names tests: all of them must exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

CODE = Path(__file__).parents[2]
DOCUMENT = CODE / "docs" / "failures.md"
TABLES = {
    "lxd": CODE / "tests/integration/actors/test_lxd_failures.py",
    "github": CODE / "tests/integration/actors/test_github_failures.py",
}
PROOF = re.compile(
    r"`(?P<file>tests/[\w/]+\.py)::(?P<test>\w+)`|`(?P<table>lxd|github)\[(?P<row>[^\]]+)\]`"
)


@cache
def proofs() -> list[re.Match[str]]:
    return list(PROOF.finditer(DOCUMENT.read_text(encoding="utf-8")))


@cache
def names_of_tests(path: Path) -> set[str]:
    found = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return {node.name for node in found if isinstance(node, ast.FunctionDef)}


@cache
def rows_of(path: Path) -> set[str]:
    """Return the names of a table's rows; those of a series as a pattern."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Row":
            parts = (
                node.args[0].values if isinstance(node.args[0], ast.JoinedStr) else node.args[:1]
            )
            text = [re.escape(p.value) if isinstance(p, ast.Constant) else r"\d+" for p in parts]
            names.add("".join(text))
    return names


@pytest.mark.parametrize("proof", proofs(), ids=lambda proof: proof.group())
def test_a_test_that_the_document_names_exists(proof: re.Match[str]) -> None:
    if proof["table"]:
        rows = rows_of(TABLES[proof["table"]])
        assert any(re.fullmatch(row, proof["row"]) for row in rows), sorted(rows)
    else:
        assert proof["test"] in names_of_tests(CODE / proof["file"])


@pytest.mark.parametrize("table", TABLES)
def test_every_way_to_fail_that_is_tested_stands_in_the_document(table: str) -> None:
    named = [proof["row"] for proof in proofs() if proof["table"] == table]
    rows = rows_of(TABLES[table])
    assert {row for row in rows if not any(re.fullmatch(row, name) for name in named)} == set()


def test_every_row_of_the_document_names_its_proof() -> None:
    lines = DOCUMENT.read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| ") and "---" not in line]
    told = [line for line in rows if not line.startswith("| failure |")]
    assert told
    assert [line for line in told if not PROOF.search(line.rsplit("|", 2)[1])] == []
