"""The daemon, which has instances made and hangs when it is to start one."""

import sys
import threading

from supervisor.cli import main
from supervisor.gateways.lxd import Lxd


def _hang(*_arguments: object, **_options: object) -> None:
    threading.Event().wait()


if __name__ == "__main__":
    Lxd.start = _hang  # type: ignore[method-assign, assignment]
    sys.exit(main(sys.argv[1:], prog_name="supervisor-cli"))
