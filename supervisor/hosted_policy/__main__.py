"""The process's entry point, run as a file by the Python of a package's environment.

That Python can't import the package that this file is part of, nor shall it find what else is
installed there: modules of `supervisor`, and nothing else, are made known to it by their directory.
"""

import argparse
import os
import sys
from pathlib import Path
from types import ModuleType


def main() -> None:
    """Serve until a signal ends it, or the process that has started it is gone."""
    parser = argparse.ArgumentParser(prog="policy service")
    for option in ("settings-fd", "listen-fd", "parent", "workers", "threads"):
        parser.add_argument(f"--{option}", type=int, required=True)
    given = parser.parse_args()

    ours = ModuleType("supervisor")
    ours.__path__ = [str(Path(__file__).parent.parent)]
    sys.modules["supervisor"] = ours
    try:
        from supervisor.hosted_policy.server import serve  # noqa: PLC0415 - known from here on
    except ImportError as error:
        sys.exit(f"policy service: the environment lacks what it is run by: {error}")
    with os.fdopen(given.settings_fd, encoding="utf-8") as settings:
        text = settings.read()
    serve(text, listen_fd=given.listen_fd, threads=given.threads, parent=given.parent)


if __name__ == "__main__":
    main()
