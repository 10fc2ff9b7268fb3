"""The charm's hands know no word of Juju: they could serve any other deployment."""

import re
import subprocess
import sys
from pathlib import Path

import machine

SOURCES = sorted(Path(machine.__file__).parent.glob("*.py"))


def test_they_do_without_ops() -> None:
    without = "import sys; sys.modules['ops'] = None; sys.path.insert(0, sys.argv[1])"
    source = str(Path(machine.__file__).parents[1])
    subprocess.run((sys.executable, "-c", f"{without}; import machine", source), check=True)


def test_no_line_of_code_speaks_of_juju() -> None:
    assert len(SOURCES) > 10
    for source in SOURCES:
        code = re.sub(r'""".*?"""|#[^\n]*', "", source.read_text(), flags=re.DOTALL)
        assert "juju" not in code.lower(), source.name
