"""`python -m sandbox.application DIRECTORY` writes the tarball and prints its path and SHA-256."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sandbox.application.package import build_application


def main() -> int:
    """Build the tarball where the command line says."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.application", description=__doc__)
    parser.add_argument("directory", type=Path, nargs="?", default=Path())
    try:
        application = build_application(parser.parse_args().directory)
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{application.sha256}  {application.path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
