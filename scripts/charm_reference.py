#!/usr/bin/env python3
"""Write the reference of the charm's options and actions from charm/charmcraft.yaml.

`scripts/charm_reference.py` writes docs/charm/reference/options.md and actions.md; with `--check`
it writes nothing, and exits with 1 and a line for each page that is not up to date.
"""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
CHARMCRAFT = ROOT / "charm" / "charmcraft.yaml"
REFERENCE = ROOT / "docs" / "charm" / "reference"

MADE_BY = "<!-- Made by scripts/charm_reference.py from charm/charmcraft.yaml: change it there. -->"

OPTIONS_HEAD = """\
# Options

What `juju config APP OPTION=VALUE` sets. A value that can't be used makes the unit *blocked* with
one sentence that says what would be right, and the daemon goes on with its last good configuration.
What each change does to runners that are there:
[changes while it runs](../../configuration.md#changes-while-it-runs).
"""

ACTIONS_HEAD = """\
# Actions

What `juju run UNIT ACTION` does. None waits for virtual machines; where no daemon answers, an
action fails and says so.
"""

# The types of options and parameters, in an operator's words.
TYPES = {
    "string": "text",
    "int": "a whole number",
    "integer": "a whole number",
    "float": "a number",
    "boolean": "`true` or `false`",
    "secret": "a Juju secret (`secret:ID`)",
}


def options_page(text: str) -> str:
    """Write the page of the options, from the text of charmcraft.yaml and in its order."""
    return "\n".join([MADE_BY, "", OPTIONS_HEAD, *_options(text)])


def _options(text: str) -> Iterator[str]:
    titles = _titles(text)
    for name, option in yaml.safe_load(text)["config"]["options"].items():
        if name in titles:
            yield f"## {titles[name]}\n"
        yield f"### {name}\n\n{TYPES[option['type']]}; {_default(option)}\n\n{_prose(option)}\n"


def _titles(text: str) -> dict[str, str]:
    """Find the comments that head a group of options, by the option that follows each."""
    pairs = re.findall(r"^ {4}# (.+)\n {4}([a-z-]+):$", text, re.MULTILINE)
    return {name: title for title, name in pairs}


def _default(option: Mapping[str, Any]) -> str:
    default = option.get("default", "")
    if default == "":
        return "none by default"
    return f"`{str(default).lower() if isinstance(default, bool) else default}` by default"


def actions_page(text: str) -> str:
    """Write the page of the actions, from the text of charmcraft.yaml and in its order."""
    return "\n".join([MADE_BY, "", ACTIONS_HEAD, *_actions(text)])


def _actions(text: str) -> Iterator[str]:
    for name, action in yaml.safe_load(text)["actions"].items():
        yield f"## {name}\n\n{_prose(action)}\n"
        parameters = action.get("params", {})
        if parameters:
            yield "| parameter | values | default | meaning |\n| --- | --- | --- | --- |"
            yield from (_parameter(key, value) for key, value in parameters.items())
            yield ""


def _parameter(name: str, parameter: Mapping[str, Any]) -> str:
    values = ", ".join(f"`{value}`" for value in parameter.get("enum", ()))
    default = f"`{parameter['default']}`" if "default" in parameter else "none"
    meaning = " ".join(parameter["description"].split())
    return f"| `{name}` | {values or TYPES[parameter['type']]} | {default} | {meaning} |"


def _prose(described: Mapping[str, Any]) -> str:
    return textwrap.fill(
        " ".join(described["description"].split()),
        width=100,
        break_long_words=False,
        break_on_hyphens=False,
    )


PAGES = {"options.md": options_page, "actions.md": actions_page}


def main(arguments: list[str]) -> int:
    """Write the pages, or say which would change."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if one is old")
    check = parser.parse_args(arguments).check
    source = CHARMCRAFT.read_text(encoding="utf-8")
    old = 0
    for name, page in PAGES.items():
        path, text = REFERENCE / name, page(source)
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        if check:
            old += 1
            sys.stderr.write(f"{path.relative_to(ROOT)} is old: run scripts/charm_reference.py\n")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return 1 if old else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
