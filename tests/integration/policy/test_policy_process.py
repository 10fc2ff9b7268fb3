"""The policy service as a process: what it is given, and what becomes of what it says.

A shell stands in Python's place, so that it says and does what a test wants.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from loguru import logger
from policy_fleet import HOST, exists
from waiting import eventually

from supervisor.gateways import policy_process
from supervisor.gateways.policy_process import Launch, PolicyProcess

Start = Callable[..., PolicyProcess]


@pytest.fixture
def logged() -> Iterator[list[tuple[str, str]]]:
    lines: list[tuple[str, str]] = []

    def keep(message: object) -> None:
        record = message.record  # type: ignore[attr-defined]
        lines.append((record["level"].name, record["message"]))

    sink = logger.add(keep, level="DEBUG")
    yield lines
    logger.remove(sink)


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    started: list[PolicyProcess] = []
    ended: list[PolicyProcess] = []
    with socket.create_server((HOST, 0)) as listener:

        def run(script: str, settings: str = "{}", secrets: tuple[str, ...] = ()) -> PolicyProcess:
            shell = tmp_path / "python"
            shell.write_text(f"#!/bin/bash\n{script}\n")
            shell.chmod(0o755)
            monkeypatch.setattr(sys, "executable", str(shell))
            launch = Launch(settings, workers=1, threads=1, secrets=secrets)
            started.append(PolicyProcess(launch, listener.fileno(), ended.append))
            return started[-1]

        yield run
        for process in started:
            process.kill()
        eventually(lambda: len(ended) == len(started))


def test_what_it_says_is_logged_by_its_weight(start: Start, logged: list[tuple[str, str]]) -> None:
    start("""
        echo '[2026-11-25 08:19:00 +0000] [7] [INFO] Booting worker with pid: 8'
        echo '[2026-11-25 08:19:00 +0000] [7] [WARNING] something is odd'
        echo '[2026-11-25 08:19:00 +0000] [7] [CRITICAL] WORKER TIMEOUT (pid:8)'
        echo 'Traceback' >&2
    """)
    said = [
        ("DEBUG", "policy service: Booting worker with pid: 8"),
        ("WARNING", "policy service: something is odd"),
        ("ERROR", "policy service: WORKER TIMEOUT (pid:8)"),
        ("WARNING", "policy service: Traceback"),
    ]
    eventually(lambda: all(one in logged for one in said))


def test_neither_its_length_nor_its_speed_nor_its_bytes_flood_the_log(
    start: Start, logged: list[tuple[str, str]]
) -> None:
    process = start(r"""
        head -c 1000000 /dev/zero | tr '\0' x; echo
        printf 'a\033[2Jb\377c\n'
        for n in {1..5000}; do echo "line $n"; done
        exit 3
    """)
    eventually(lambda: not process.alive)
    eventually(lambda: any("has ended with 3" in line for _, line in logged))
    lines = [line for _, line in logged if line.startswith("policy service: ")]
    assert max(map(len, lines)) < 1100
    assert all(line.isprintable() for line in lines)
    assert "policy service: line 50" in lines
    assert len(lines) < 200


def test_a_secret_that_it_says_is_not_logged(start: Start, logged: list[tuple[str, str]]) -> None:
    process = start("echo the token is ghp_secret; exit 1", secrets=("ghp_secret", "ghp"))
    eventually(lambda: not process.alive)
    eventually(lambda: ("WARNING", "policy service: the token is [secret]") in logged)
    eventually(lambda: "[secret]" in process.epitaph())
    assert process.epitaph() == "the policy service has ended with 1: the token is [secret]"


def test_settings_of_any_size_come_by_the_descriptor(start: Start, tmp_path: Path) -> None:
    settings = "x" * 500_000
    start(
        'for a in "$@"; do case $a in --settings-fd=*) fd=${a#*=};; esac; done\n'
        f'cat <&"$fd" >{tmp_path}/got',
        settings,
    )
    eventually(lambda: (tmp_path / "got").exists() and (tmp_path / "got").stat().st_size == 500_000)


def test_one_that_never_reads_its_settings_hangs_nobody(start: Start) -> None:
    process = start("exec sleep 60", "x" * 500_000)
    assert process.alive
    process.kill()
    eventually(lambda: not process.alive)


def test_one_that_ignores_an_order_to_end_is_killed(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy_process, "_END_LIMIT_S", 1.0)
    process = start(f"trap '' TERM; echo >{tmp_path}/trapped; while :; do sleep 0.1; done")
    eventually((tmp_path / "trapped").exists)
    process.end()
    eventually(lambda: not process.alive)
    assert "was killed by signal 9" in process.epitaph()


def test_what_its_first_process_leaves_behind_ends_too(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy_process, "_END_LIMIT_S", 1.0)
    process = start(f"(trap '' TERM; echo $BASHPID >{tmp_path}/left; sleep 60) & wait")
    left = tmp_path / "left"
    eventually(lambda: left.exists() and left.read_text())
    os.kill(process.pid, signal.SIGKILL)
    eventually(lambda: not _runs(int(left.read_text())))
    eventually(lambda: not exists(process.pid))


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_it_has_neither_our_environment_nor_our_descriptors(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "ghp_secret")
    monkeypatch.setenv("SSL_CERT_FILE", "/etc/ssl/ours.pem")
    with (tmp_path / "ours").open("w") as ours:
        os.set_inheritable(ours.fileno(), True)  # noqa: FBT003 - it takes no keyword
        start(f"env >{tmp_path}/env; ls -l /proc/$$/fd >{tmp_path}/fds; echo >{tmp_path}/done")
        eventually((tmp_path / "done").exists)
    environment = (tmp_path / "env").read_text()
    assert "ghp_secret" not in environment
    assert "SSL_CERT_FILE=/etc/ssl/ours.pem" in environment
    open_files = (tmp_path / "fds").read_text()
    assert "ours" not in open_files
    assert open_files.count("socket:") == 1
