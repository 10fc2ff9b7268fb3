"""Take the picture of `supervisor-cli top` in docs/top.md, of a daemon that runs here.

Usage: .venv/bin/python scripts/top_screenshot.py [SOCKET], such as while `make run` goes on.
"""

import asyncio
import sys
from pathlib import Path

from supervisor.cli.client import ControlClient
from supervisor.cli.top.app import Top
from supervisor.cli.top.widgets import RunnersTable
from supervisor.config import DEFAULT_SOCKET

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "top.svg"


async def picture(socket: Path) -> str:
    """Draw the screen as it is once there are runners."""
    app = Top(ControlClient(socket))
    async with app.run_test(size=(100, 28)) as pilot:
        while not app.query_one(RunnersTable).row_count:
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
