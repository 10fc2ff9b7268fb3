"""The charm as it is packed, and another revision of it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
_PARTS = ("charm", "scripts", "supervisor", "sandbox", "systemd")


def pack(directory: Path) -> Path:
    """Pack this very tree."""
    return _packed(ROOT, directory)


def pack_next(directory: Path, version: str) -> Path:
    """Pack a copy of this tree whose daemon has another version."""
    tree = directory / "tree"
    for part in _PARTS:
        shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (*ROOT.glob("requirements*.lock"), ROOT / "LICENSE", ROOT / "README.md"):
        shutil.copy(path, tree)
    described = (ROOT / "pyproject.toml").read_text()
    changed = re.sub(r'(?m)^version = ".*"', f'version = "{version}"', described)
    (tree / "pyproject.toml").write_text(changed)
    (tree / ".cache").symlink_to(ROOT / ".cache")
    return _packed(tree, directory)


def _packed(tree: Path, directory: Path) -> Path:
    done = subprocess.run(
        [sys.executable, tree / "scripts/pack_charm.py", "--directory", directory],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())
