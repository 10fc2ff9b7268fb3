"""What queries of Prometheus name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import promql_parser


def read(query: str) -> Any:
    """Read a query, as Grafana asks it for six hours."""
    return promql_parser.parse(query.replace("$__range", "6h"))


def parts_below(expression: Any) -> Iterator[Any]:
    """Give what an expression of PromQL is directly made of."""
    for name in ("lhs", "rhs", "expr", "vector_selector", "param"):
        part = getattr(expression, name, None)
        if part is not None and not isinstance(part, str):
            yield part
    yield from getattr(expression, "args", ())


def parts_of(expression: Any) -> Iterator[Any]:
    """Give an expression of PromQL and all that it is made of."""
    yield expression
    for part in parts_below(expression):
        yield from parts_of(part)


def labels_in(part: Any) -> set[str]:
    """Give the labels that a part of an expression names."""
    if isinstance(part, promql_parser.VectorSelector):
        return {matcher.name for matcher in part.matchers.matchers}
    named = set()
    for modifier in (getattr(part, "modifier", None), getattr(part, "matching", None)):
        for holder in (modifier, getattr(modifier, "matching", None)):
            named |= set(getattr(holder, "labels", None) or ())
    return named


def parsed(query: str) -> tuple[set[str], set[str]]:
    """Give the metrics and the labels that a query names."""
    if match := re.fullmatch(r"label_values\((.*), (\w+)\)", query):
        metrics, labels = parsed(match[1])
        return metrics, labels | {match[2]}
    metrics, labels = set(), set()
    for part in parts_of(read(query)):
        labels |= labels_in(part)
        if isinstance(part, promql_parser.VectorSelector):
            metrics.add(part.name)
    return metrics, labels - {"__name__"}


def values_in(query: str) -> Iterator[tuple[str, str, str]]:
    """Give each metric, with a label and a value of it that a query asks for or leaves out."""
    for part in parts_of(read(query)):
        if isinstance(part, promql_parser.VectorSelector):
            for matcher in part.matchers.matchers:
                for value in matcher.value.split("|"):
                    yield part.name, matcher.name, value


def foreign_in(query: str, prefix: str, mark: str, labels: set[str]) -> set[str]:
    """Give what a query takes of others.

    Args:
        query: the query.
        prefix: what names of our own metrics begin with.
        mark: the metric that each page of ours has, and no other: what is said of a page that has
            it is ours.
        labels: by which that is to be found out.
    """
    return set(_foreign(read(query), prefix, mark, labels))


def _foreign(part: Any, prefix: str, mark: str, labels: set[str]) -> Iterator[str]:
    if isinstance(part, promql_parser.VectorSelector):
        if not part.name.startswith(prefix):
            yield part.name
    elif not _is_of_a_page_with(part, mark, labels):
        for inner in parts_below(part):
            yield from _foreign(inner, prefix, mark, labels)


def _is_of_a_page_with(part: Any, mark: str, labels: set[str]) -> bool:
    if not isinstance(part, promql_parser.BinaryExpr) or str(part.op) != "and":
        return False
    by = part.modifier.matching if part.modifier else None
    named = {
        one.name for one in parts_of(part.rhs) if isinstance(one, promql_parser.VectorSelector)
    }
    is_on = bool(by) and by.type == promql_parser.LabelModifierType.Include
    return is_on and set(by.labels) == labels and named == {mark}
