"""Programs are run with a clean environment, and no longer than they may."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from machine import commands
from machine.commands import Commands, Done
from waiting import eventually


def python(text: str, limit_s: float = 20) -> Done:
    return Commands().run(sys.executable, "-c", text, limit_s=limit_s)


def test_a_program_sees_nothing_of_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "JUJU_UNIT_NAME", "HTTP_PROXY"):
        monkeypatch.setenv(name, "leaks")
    done = python("import os; print(sorted(os.environ))")
    assert done.out.strip() == "['HOME', 'LC_ALL', 'PATH']"


def test_a_program_is_told_what_it_is_told() -> None:
    done = Commands().run("env", limit_s=20, environment={"PIP_CONFIG_FILE": "/dev/null"})
    assert "PIP_CONFIG_FILE=/dev/null" in done.out


def test_its_end_and_its_words_are_given() -> None:
    done = python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    assert done == Done(3, "out\n", "err\n")


def test_one_that_is_not_there_is_told() -> None:
    done = Commands().run("/nowhere/at-all", limit_s=20)
    assert done == Done(127, err="/nowhere/at-all: No such file or directory")


def test_one_that_takes_too_long_is_ended_with_all_that_it_has_started() -> None:
    began = time.monotonic()
    # The child holds the pipe: were it left alive, its end would be waited for.
    done = Commands().run("sh", "-c", "echo begun; sleep 50 & sleep 50", limit_s=0.5)
    assert done.code == 124
    assert done.out == "begun\n"
    assert done.reason == "error: it was not done within 0.5 s"
    assert time.monotonic() - began < 20


HOOK = """
import sys
sys.path.insert(0, sys.argv[1])
from machine.commands import Commands
Commands().run("sh", "-c", "echo $$ >NOTE; exec sleep 50", limit_s=60, ends_with_us=True)
"""


def test_one_that_ends_with_us_is_killed_by_the_kernel_when_we_are(tmp_path: Path) -> None:
    noted = tmp_path / "pid"
    source = Path(commands.__file__).parents[1]
    hook = subprocess.Popen([sys.executable, "-c", HOOK.replace("NOTE", str(noted)), str(source)])
    eventually(lambda: noted.exists() and noted.read_text().endswith("\n"))
    child = int(noted.read_text())
    os.kill(child, 0)
    hook.send_signal(signal.SIGKILL)
    hook.wait()
    eventually(lambda: has_ended(child))


def has_ended(pid: int) -> bool:
    """Tell whether a process has, be there somebody who has asked for how or not: proc(5)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in {"Z", "X"}
    except OSError:
        return True


@pytest.mark.parametrize(
    ("done", "reason"),
    [
        (Done(1, "out", "one\ntwo\n"), "two"),
        (Done(1, "", "error: it is so\nmore words\n"), "error: it is so"),
        (Done(1, "only out\n"), "only out"),
        (Done(5), "it ended with 5 and said nothing"),
        (Done(1, err="a\x1b[31mb\n"), "a [31mb"),
        (Done(1, err="x" * 999), "x" * 400),
    ],
)
def test_why_it_failed_is_one_line(done: Done, reason: str) -> None:
    assert done.reason == reason
