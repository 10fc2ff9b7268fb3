from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

import sandbox.application
from sandbox.application import VERSION, build_application

FILES = Path(sandbox.application.__file__).parent / "files"
MAIN_FILES = ("config.sh", "env.sh", "run.sh", "bin/Runner.Listener")


def test_the_same_version_gives_the_same_bytes(tmp_path: Path) -> None:
    first = build_application(tmp_path)
    content = first.path.read_bytes()
    assert build_application(tmp_path) == first
    assert first.path.read_bytes() == content
    assert hashlib.sha256(content).hexdigest() == first.sha256
    assert list(tmp_path.iterdir()) == [first.path]


def test_it_is_named_like_githubs_own(tmp_path: Path) -> None:
    application = build_application(tmp_path, "9.8.7")
    assert application.filename == "actions-runner-linux-x64-9.8.7.tar.gz"
    assert application.path == tmp_path / application.filename


def test_it_says_its_version(tmp_path: Path) -> None:
    with tarfile.open(build_application(tmp_path, "9.8.7").path) as archive:
        listener = archive.extractfile("./bin/Runner.Listener")
        assert listener is not None
        assert b"\nversion=9.8.7\n" in listener.read()


def test_owners_times_and_modes_tell_nothing_of_the_builder(tmp_path: Path) -> None:
    with tarfile.open(build_application(tmp_path).path) as archive:
        members = archive.getmembers()
    assert {(member.uid, member.gid, member.uname) for member in members} == {(1001, 1001, "")}
    assert len({member.mtime for member in members}) == 1
    modes = {member.name: member.mode for member in members if member.isfile()}
    assert {name for name, mode in modes.items() if mode == 0o755} == {
        f"./{name}" for name in MAIN_FILES
    }


def test_nothing_is_left_out(tmp_path: Path) -> None:
    with tarfile.open(build_application(tmp_path).path) as archive:
        packed = {member.name for member in archive.getmembers() if member.isfile()}
    there = {f"./{path.relative_to(FILES)}" for path in FILES.rglob("*") if path.is_file()}
    assert packed == there


def test_it_can_be_built_from_the_command_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sandbox.application", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    application = build_application(tmp_path)
    assert done.stdout == f"{application.sha256}  {application.path}\n"
    assert application.version == VERSION
    command[-1] = "/nowhere"
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "/nowhere" in refused.stderr


def _shellcheck() -> str:
    beside = Path(sys.executable).with_name("shellcheck")
    return str(beside) if beside.exists() else shutil.which("shellcheck") or ""


@pytest.mark.parametrize("script", MAIN_FILES)
def test_shellcheck_has_nothing_to_say(script: str) -> None:
    program = _shellcheck()
    if not program:
        pytest.fail("shellcheck is not installed")
    done = subprocess.run(
        [program, "--shell=sh", "--external-sources", script],
        cwd=FILES,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == ""
