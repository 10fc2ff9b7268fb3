"""A daemon that is killed while it installs: what is half made is never in use."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from package_stand import Stand
from policy_packages import NAME, wheel
from waiting import eventually

from supervisor.work.package import PackageReady

pytestmark = pytest.mark.timeout(300)
_INSTALLER = """
import sys
from pathlib import Path
sys.path[:0] = [sys.argv[1]]
from package_stand import Stand
stand = Stand(Path(sys.argv[2]))
work = stand.work(stand.config())
object.__setattr__(work, "note", lambda step, what: print(step.value, what, flush=True))
print(work.bring_up_to_date())
"""


def kill_at(stand: Stand, words: str, random: Random) -> None:
    """Install, and be killed a moment after something was begun; pip dies with it, or goes on."""
    tests = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", _INSTALLER, str(tests), str(stand.links.parent)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert process.stdout
    for line in process.stdout:
        if line.startswith(words):
            break
    try:
        process.wait(random.uniform(0, 0.6))
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    process.stdout.close()
    process.wait()


def is_whole(stand: Stand) -> bool:
    """Tell whether what is in use can be imported; nothing in use is whole, too."""
    current = stand.environments.current()
    if current is None:
        return True
    command = [str(current.python), "-I", "-c", "import demo_policy, gunicorn.arbiter"]
    return subprocess.run(command, check=False).returncode == 0


def test_a_kill_at_any_time_leaves_a_whole_version_in_use(stand: Stand) -> None:
    random = Random(7)  # noqa: S311 - it hides nothing
    wheel(stand.links, "1.0")
    kill_at(stand, "makes an environment", random)
    assert is_whole(stand)
    first = stand.bring_up_to_date()
    assert isinstance(first, PackageReady), first
    wheel(stand.links, "1.1")
    for words in ("makes an environment", "installs", "tries"):
        kill_at(stand, words, random)
        assert is_whole(stand)
        assert stand.version in {f"{NAME} 1.0", f"{NAME} 1.1"}
    eventually(lambda: not _left_of(stand), limit_s=60)
    last = stand.bring_up_to_date()
    assert isinstance(last, PackageReady), last
    assert stand.version == f"{NAME} 1.1"
    assert set(stand.directories) >= {last.environment.path.name}
    assert len(stand.directories) <= 2


def _left_of(stand: Stand) -> list[str]:
    """Give what still runs in an environment that nobody waits for."""
    own = os.fsencode(stand.state)
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if own in (process / "cmdline").read_bytes():
                found.append(process.name)
        except OSError:
            continue
    return found
