"""This Python with what the package needs, where any user of the host can run it.

The one that runs the tests may lie where only root gets.
"""

from __future__ import annotations

import re
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import supervisor

_DISTRIBUTION = "github-runner-supervisor"
_UNUSED = ("test", "idlelib", "tkinter", "ensurepip", "site-packages", "config-*")


def make_readable_python(directory: Path) -> Path:
    """Copy it into a directory that others get through; give the program to run."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    library = directory / "lib" / version
    unused = shutil.ignore_patterns(*_UNUSED)
    shutil.copytree(sysconfig.get_path("stdlib"), library, ignore=unused)
    (directory / "bin").mkdir()
    program = directory / "bin" / version
    shutil.copy(Path(sys.executable).resolve(), program)
    for shared in Path(sysconfig.get_config_var("LIBDIR")).glob(f"lib{version}*.so*"):
        shutil.copy(shared, directory / "lib")
    packages = library / "site-packages"
    _copy(Path(supervisor.__file__).parent, packages / "supervisor")
    for path in sorted(set(_installed())):
        _copy(path, packages / path.name)
    # It is found by where it lies, but for its own library.
    shell = directory / "python"
    shell.write_text(
        f'#!/bin/sh\nexec /usr/bin/env LD_LIBRARY_PATH={directory}/lib {program} "$@"\n'
    )
    shell.chmod(0o755)
    return shell


def _installed() -> Iterator[Path]:
    """Give what is to be copied of the package's own requirements, and of theirs."""
    wanted, seen = [_DISTRIBUTION], set()
    while wanted:
        name = wanted.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:  # one for other systems
            continue
        for file in found.files or ():
            first = file.parts[0]
            if first not in {"..", "__pycache__"} and not first.endswith(".pth"):
                yield Path(str(found.locate_file(first)))
        required = (one for one in found.requires or () if "extra ==" not in one)
        wanted += [re.split(r"[^A-Za-z0-9._-]", one, maxsplit=1)[0] for one in required]


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy(source, target)
