"""What Juju knows of one unit and its model: a JSON file that one process at a time changes."""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Model = dict[str, Any]

OPTION_TYPES = {"string": str, "int": int, "float": float, "boolean": bool, "secret": str}


class Refused(Exception):
    """Juju would not do this; the text is what it would say, after `ERROR`."""


def fresh(unit: str, charm: dict[str, Any]) -> Model:
    """Give the model of a unit that was just deployed, from what its charm says of itself."""
    return {
        "unit": unit,
        "charm": charm,
        "leader": True,
        "config": {},
        "secrets": {},
        "relations": {},
        "storage": {},
        "status": {"unit": ["waiting", "waiting for machine"], "application": ["unknown", ""]},
        "statuses": [],
        "version": "",
        "ports": [],
        "state": {},
        "log": [],
        "calls": [],
        "context": "",
        "reboot": "",
        "action": None,
        "proxies": {},
        "address": "127.0.0.1",
    }


@contextmanager
def changing(path: Path) -> Iterator[Model]:
    """Read the model, let it be changed, and write it, while everybody else waits."""
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        model = json.loads(path.read_text())
        try:
            yield model
        finally:
            write(path, model)


def read(path: Path) -> Model:
    """Read the model as it is: files are replaced whole, so there is never half of one."""
    found: Model = json.loads(path.read_text())
    return found


def write(path: Path, model: Model) -> None:
    """Replace the model's file."""
    unfinished = path.with_suffix(f".{os.getpid()}")
    unfinished.write_text(json.dumps(model, indent=1))
    unfinished.replace(path)


def config(model: Model) -> dict[str, Any]:
    """Give the configuration as `config-get` does: what is set or has a default."""
    options = model["charm"]["config"].get("options", {})
    defaults = {name: o["default"] for name, o in options.items() if o.get("default") is not None}
    return {**defaults, **model["config"]}


def option_value(model: Model, name: str, value: object) -> object:
    """Check and convert a value for an option, as `juju config` does.

    Raises:
        Refused: There is no such option, or it takes another type.
    """
    option = model["charm"]["config"].get("options", {}).get(name)
    if option is None:
        raise Refused(f'unknown option "{name}"')
    kind = option["type"]
    if kind == "boolean" and value in {"true", "false"}:
        return value == "true"
    if kind in {"int", "float"} and isinstance(value, str):
        value = _number(name, kind, value)
    wanted = OPTION_TYPES[kind]
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        raise Refused(f'option "{name}" expected {kind}, got {json.dumps(value)}')
    if kind == "secret" and not str(value).startswith("secret:"):
        raise Refused(f'option "{name}" expected a secret URI, got {json.dumps(value)}')
    return value


def _number(name: str, kind: str, text: str) -> object:
    try:
        return OPTION_TYPES[kind](text)
    except ValueError:
        raise Refused(f'option "{name}" expected {kind}, got "{text}"') from None


def parameters(model: Model, action: str, given: dict[str, Any]) -> dict[str, Any]:
    """Check an action's parameters by its schema and add the defaults, as `juju run` does.

    Raises:
        Refused: There is no such action, or a parameter is unknown, missing or of a wrong kind.
    """
    schema = model["charm"]["actions"].get(action)
    if schema is None:
        raise Refused(f'action "{action}" not defined on unit "{model["unit"]}"')
    known = schema.get("params", {})
    for name, value in given.items():
        if name not in known and schema.get("additionalProperties") is False:
            raise Refused(f'validation failed: additional property "{name}" is not allowed')
        if value not in known.get(name, {}).get("enum", [value]):
            raise Refused(f"validation failed: (root).{name} : must be one of the enum values")
    for name in schema.get("required", []):
        if name not in given:
            raise Refused(f"validation failed: (root) : {name} is required")
    return {name: p["default"] for name, p in known.items() if "default" in p} | given
