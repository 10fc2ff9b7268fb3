"""A process that builds an image, says what it is at, and provisions or verifies it for ever."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

from image_stand import PROVISIONING, Stand, Verdict

from sandbox.lxd_daemon import LxdDaemon
from sandbox.private_lxd import PrivateLxd
from supervisor.gateways.lxd import Lxd, LxdEndpoint
from supervisor.images.choice import Wish
from supervisor.work import image as image_work


class _Waiting(Verdict):
    def wait(self, name: str, limit_s: float) -> str:
        _say("stays in verifying")
        threading.Event().wait()
        return "never"


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - whoever started it reads it


def main() -> None:
    told = json.loads(sys.argv[1])
    endpoint = LxdEndpoint(Path(told.pop("socket")), told["project"])
    archive = Path(told.pop("archive"))
    stays = "echo stays in provisioning\nsleep 3600\n"
    script = PROVISIONING + (stays if told.pop("stays_in") == "provisioning" else "")
    image_work.provisioning_script = lambda: script  # type: ignore[assignment]
    made = PrivateLxd(daemon=LxdDaemon(Path("/none"), memory="1M"), endpoint=endpoint, **told)
    stand = Stand(Lxd(endpoint), made, archive)
    wish = Wish(forced=True)
    _say(str(stand.work().ensure(stand.application, archive, _Waiting(), _say, wish)))


if __name__ == "__main__":
    main()
