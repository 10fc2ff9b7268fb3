"""Take the picture of `supervisor-cli top` in docs/top.md, of a daemon that runs here.

Usage: .venv/bin/python scripts/top_screenshot.py [SOCKET], such as while `make run` goes on.
"""

import asyncio
import sys
import time
from pathlib import Path

from supervisor.cli.client import ControlClient
from supervisor.cli.top.app import Top
from supervisor.cli.top.widgets import RunnersTable
from supervisor.config import DEFAULT_SOCKET

LIMIT_S = 60
PICTURE = Path(__file__).parents[1] / "docs" / "images" / "top.svg"


async def picture(socket: Path) -> str:
    """Draw the screen as it is once there are runners."""
    app = Top(ControlClient(socket))
    async with app.run_test(size=(100, 28)) as pilot:
        end = time.monotonic() + LIMIT_S
        while not app.query_one(RunnersTable).row_count:
            if time.monotonic() > end:
                sys.exit(f"no runner is shown within {LIMIT_S} s: is the daemon at {socket} up?")
            await pilot.pause(0.1)
        await pilot.pause()
        return app.export_screenshot(title="supervisor-cli top")


def main() -> None:
    """Write the picture."""
    socket = Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_SOCKET
    PICTURE.write_text(asyncio.run(picture(socket)), encoding="utf-8")
    print(f"{PICTURE} is written")


if __name__ == "__main__":
    main()
