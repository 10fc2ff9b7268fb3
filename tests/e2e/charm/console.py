"""The commands of a document, as a script that does what its reader would."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_PROMPT = "# "
_END_OF_INPUT = "^D"


def commands(text: str) -> str:
    """Turn the `console` blocks of a part of a document into a script.

    Lines after a prompt are commands; what follows one up to `^D` is typed into it.
    """
    script = ["set -e"]
    for block in re.findall(r"(?ms)^```console\n(.*?)^```$", text):
        lines = iter(block.splitlines())
        for line in lines:
            assert line.startswith(_PROMPT), f"no command and no input: {line}"
            command = [line.removeprefix(_PROMPT)]
            while command[-1].endswith("\\"):
                command.append(next(lines))
            typed = _typed(block, command[-1])
            if typed is not None:
                command[-1] += " <<'^D'"
                while (line := next(lines)) != _END_OF_INPUT:
                    command.append(line)
                command.append(_END_OF_INPUT)
            script += command
    return "\n".join(script) + "\n"


def part(text: str, begin: str, end: str) -> str:
    """Give what stands between two places of a document."""
    assert begin in text, begin
    after = text.partition(begin)[2]
    assert end in after, end
    return after.partition(end)[0]


def replaced(script: str, changes: Mapping[str, str]) -> str:
    """Change what a test can't do as it stands; each change must be one."""
    for old, new in changes.items():
        assert old in script, f"the document does not say {old!r} any more"
        script = script.replace(old, new)
    return script


def _typed(block: str, command: str) -> str | None:
    """Say what is typed into a command, if something is."""
    after = block.partition(command + "\n")[2]
    typed, end, _ = after.partition(f"\n{_END_OF_INPUT}")
    return typed if end and not re.search(r"(?m)^# ", typed) else None
