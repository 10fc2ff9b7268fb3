"""What is to be said of a condition that does not hold: more than that it is false."""

import ast
import inspect
from collections.abc import Callable
from pathlib import Path
from types import LambdaType

from _pytest.assertion.rewrite import rewrite_asserts


def explained(condition: Callable[[], object], seen: object) -> str:
    """Say what is the case instead.

    Of a lambda each part is told, as pytest tells of an `assert`: it is looked at once more.
    Of another condition that is what it has said.
    """
    if isinstance(condition, LambdaType) and (body := _body_of(condition)):
        return _asserted(body, condition)
    return f"last seen: {seen!r}"


def _body_of(function: LambdaType) -> ast.expr | None:
    """Find what a lambda is made of, if it is one, and alone in its line."""
    if function.__name__ != "<lambda>":
        return None
    code = function.__code__
    try:
        tree = ast.parse(Path(code.co_filename).read_text(encoding="utf-8"))
    except (OSError, SyntaxError):
        return None
    found = [
        node.body
        for node in ast.walk(tree)
        if isinstance(node, ast.Lambda) and node.lineno == code.co_firstlineno
    ]
    return found[0] if len(found) == 1 else None


def _asserted(body: ast.expr, condition: LambdaType) -> str:
    text = f"assert {ast.unparse(body)}"
    tree = ast.parse(text)
    rewrite_asserts(tree, text.encode())
    names = {**condition.__globals__, **_known_to(condition)}
    try:
        exec(compile(tree, "<condition>", "exec"), names)  # noqa: S102 - the test's own words
    except AssertionError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - what the test asks may fail in any way
        return f"{text}\nnow raises {error!r}"
    return f"{text}\nholds now, too late"


def _known_to(function: LambdaType) -> dict[str, object]:
    """Give what a function sees of those around it, and what its arguments are by default."""
    arguments = inspect.signature(function).parameters
    defaults = {name: one.default for name, one in arguments.items()}
    return {**inspect.getclosurevars(function).nonlocals, **defaults}
