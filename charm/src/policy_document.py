"""The policy document, as an operator writes it into an option: YAML or JSON."""

from __future__ import annotations

from typing import Any

import yaml

_TWICE = "policy-document: has a key twice"
_NO_WORD = "policy-document: has a key that is no word; put it in quotes"
_NEITHER = "policy-document: is neither YAML nor JSON"


class NoDocument(Exception):
    """It is none; the message says why, and where."""


class _KeyFault(yaml.constructor.ConstructorError):
    """A key can't be used; the problem is for the operator."""


class _UniqueKeyLoader(yaml.SafeLoader):
    """What YAML lets pass, and we refuse.

    A later key silently wins over an earlier one of the same name, and `on` is no word for it.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for index, key in enumerate(keys):
            problem = "" if isinstance(key, str) else _NO_WORD
            if problem := problem or (_TWICE if key in keys[:index] else ""):
                raise _KeyFault(problem=problem, problem_mark=node.value[index][0].start_mark)
        return super().construct_mapping(node, deep)


def parse(text: str) -> dict[Any, Any]:
    """Read a document; which checks it may name is left to the daemon.

    Raises:
        NoDocument: it is none.
    """
    try:
        made = yaml.load(text, Loader=_UniqueKeyLoader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        what = error.problem if isinstance(error, _KeyFault) else _NEITHER
        raise NoDocument(f"{what}{where}") from error
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise NoDocument(_NEITHER) from error
    if not isinstance(made, dict):
        raise NoDocument("policy-document: must hold keys and values")
    return made
