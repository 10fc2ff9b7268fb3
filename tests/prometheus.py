"""The programs of Prometheus, got by scripts/setup.sh, and what they say of a page or of rules."""

from __future__ import annotations

import subprocess
from pathlib import Path

_PROGRAMS = Path(__file__).parents[1] / ".cache" / "prometheus" / "bin"
SERVER = _PROGRAMS / "prometheus"


def promtool(*arguments: str | Path, told: str = "") -> str:
    """Run promtool; give what it complains of, or nothing."""
    done = subprocess.run(
        (_PROGRAMS / "promtool", *arguments),
        input=told,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    said = f"{done.stdout}\n{done.stderr}".strip()
    return said if done.returncode else ""
