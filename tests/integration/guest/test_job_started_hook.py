"""The hook that asks the policy, on its way there: by every shell, below an application."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from policy_hook import LISTENER

from supervisor.guest import GuestParameters, user_data

SHELLS = {"dash": ["dash"], "bash": ["bash"], "busybox": ["busybox", "sh"]}
LIMIT_S = 15
REPORT_LIMIT = "SIGNAL_LIMIT_S=3", "SIGNAL_LIMIT_S=1"
# Makes what a guest makes, but for who owns it.
MAKE = """
GUEST_DIR={directory}
gid=0
chown() {{ :; }}
write_signal_functions >"$GUEST_DIR/signal.sh"
write_hooks
"""


@dataclass
class Application:
    """One that has begun a job: its hook runs below it."""

    process: subprocess.Popen[str]
    directory: Path
    watch: int

    def told_watch(self) -> list[str]:
        """Return what the watch was told meanwhile."""
        try:
            return os.read(self.watch, 4096).decode().split()
        except BlockingIOError:
            return []

    def hook(self) -> int:
        """Return the hook's process."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return int(path.read_text().split()[0])

    def end(self) -> tuple[int, bool, str]:
        """Return its exit code, whether it was told to stop, and its job's log."""
        log, _ = self.process.communicate(timeout=LIMIT_S)
        return self.process.returncode, (self.directory / "stopped").exists(), log


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> list[str]:
    program, *arguments = SHELLS[request.param]
    found = shutil.which(program)
    if found is None:
        pytest.fail(f"{program} is not installed")
    return [found, *arguments]


@pytest.fixture
def host() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def start(
    directory: Path, shell: list[str], host: tuple[str, int], *, env: str = "/usr/bin/env"
) -> Application:
    document = user_data(
        GuestParameters(
            runner_name="r1",
            jit_config="and0",
            signal_url=f"http://{host[0]}:{host[1]}/signals",
            signal_token="token",
            application_url="http://127.0.0.1:9/application",
            application_sha256="ab" * 32,
            policy_url="http://127.0.0.1:9",
        )
    )
    definitions, mark, _ = document.partition("\ntrap end EXIT\n")
    assert mark
    making = definitions + MAKE.format(directory=directory)
    subprocess.run([*shell, "-c", making], check=True, timeout=LIMIT_S)
    hook = directory / "job-started.sh"
    assert "exec /usr/bin/env " in hook.read_text()
    hook.write_text(hook.read_text().replace("exec /usr/bin/env ", f"exec {env} "))
    functions = directory / "signal.sh"
    usual, chosen = REPORT_LIMIT
    assert usual in functions.read_text()
    functions.write_text(functions.read_text().replace(usual, chosen))
    listener = directory / "Runner.Listener"
    listener.write_text(LISTENER)
    listener.chmod(0o755)
    watch = os.open(directory / "policy.pipe", os.O_RDWR | os.O_NONBLOCK)
    process = subprocess.Popen(
        [str(listener), *shell, "-e", str(hook)],
        cwd=directory,
        env={"PATH": os.environ["PATH"], "GITHUB_REPOSITORY": "acme/web"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return Application(process, directory, watch)


def reports(host: socket.socket) -> socket.socket:
    """Wait until the hook reports to the host, which then says nothing."""
    host.settimeout(LIMIT_S)
    return host.accept()[0]


def test_a_hook_that_is_killed_while_it_reports_has_told_the_watch(
    tmp_path: Path, shell: list[str], host: socket.socket
) -> None:
    application = start(tmp_path, shell, host.getsockname())
    with reports(host):
        assert application.told_watch() == ["asking"]
        os.kill(application.hook(), signal.SIGKILL)
        code, stopped, _ = application.end()
    assert (code, stopped) == (128 + signal.SIGKILL, False)


def test_a_hook_that_is_ended_while_it_reports_has_the_application_stopped(
    tmp_path: Path, shell: list[str], host: socket.socket
) -> None:
    application = start(tmp_path, shell, host.getsockname())
    with reports(host):
        os.kill(application.hook(), signal.SIGTERM)
        code, stopped, log = application.end()
    assert (code, stopped) == (1, True)
    assert "this job was refused: the policy could not be asked" in log


def test_a_hook_that_can_not_begin_to_ask_has_the_application_stopped(
    tmp_path: Path, shell: list[str], host: socket.socket
) -> None:
    # Nobody listens any more: a report takes no time.
    address = host.getsockname()
    host.close()
    application = start(tmp_path, shell, address, env="/nowhere/env")
    code, stopped, log = application.end()
    assert application.told_watch() == ["asking"]
    assert (code, stopped) == (1, True)
    assert "this job was refused: the policy could not be asked" in log
