"""Drive a unit from a shell, such as one in another machine.

    python3 -m charm_hooks DIRECTORY deploy /root/my.charm github-runner/0
    python3 -m charm_hooks DIRECTORY config virtual-machines=2 path=octo-org
    python3 -m charm_hooks DIRECTORY dispatch install
    python3 -m charm_hooks DIRECTORY call run_action '["flush-runners", {"whom": "idle"}]'

Each prints JSON: what the method of `JujuUnit` gives. `call` takes any of them.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from charm_hooks import JujuUnit, Refused

# What is a path in the methods' signatures, by method and place.
PATHS = {"attach_storage": 1, "upgrade": 0}


def main(arguments: list[str] | None = None) -> int:
    """Do one thing; the exit code is 1 where Juju refuses it."""
    parser = argparse.ArgumentParser("charm_hooks", description=__doc__.split("\n")[0])
    parser.add_argument("directory", type=Path, help="the unit's")
    verbs = parser.add_subparsers(dest="verb", required=True)
    deploy = verbs.add_parser("deploy", help="unpack a charm; no hook runs")
    deploy.add_argument("charm", type=Path)
    deploy.add_argument("name", nargs="?", default="github-runner/0")
    config = verbs.add_parser("config", help="set options")
    config.add_argument("values", nargs="+", metavar="OPTION=VALUE")
    dispatch = verbs.add_parser("dispatch", help="run a hook")
    dispatch.add_argument("event")
    verbs.add_parser("show", help="all that Juju knows")
    call = verbs.add_parser("call", help="call a method, with arguments as a JSON list")
    call.add_argument("method")
    call.add_argument("arguments", nargs="?", type=json.loads, default=[])
    call.add_argument("options", nargs="?", type=json.loads, default={}, help="by name, as JSON")
    try:
        found = act(parser.parse_args(arguments))
    except Refused as refused:
        print(f"ERROR {refused}", file=sys.stderr)
        return 1
    print(
        json.dumps(asdict(found) if is_dataclass(found) and not isinstance(found, type) else found)
    )
    return 0


def act(wanted: argparse.Namespace) -> Any:
    """Do what the command line asks for."""
    if wanted.verb == "deploy":
        return JujuUnit.deploy(wanted.directory, wanted.charm, name=wanted.name).name
    unit = JujuUnit(wanted.directory)
    if wanted.verb == "config":
        return unit.set_config(dict(word.split("=", 1) for word in wanted.values))
    if wanted.verb == "dispatch":
        return unit.dispatch(wanted.event)
    if wanted.verb == "show":
        return unit.model
    given = list(wanted.arguments)
    if wanted.method in PATHS:
        place = PATHS[wanted.method]
        given[place] = Path(given[place])
    return getattr(unit, wanted.method)(*given, **wanted.options)


if __name__ == "__main__":
    raise SystemExit(main())
