import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_imports_point_downwards_only() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_decisions_know_no_actors_and_no_outside() -> None:
    pure = (
        "supervisor.lifecycle, supervisor.planning, supervisor.runners.naming, "
        "supervisor.runners.marks, supervisor.guest.logs, "
        "supervisor.github.conversations, supervisor.github.gate"
    )
    outside = ("pykka", "pylxd", "github", "requests", "flask", "loguru", "pydantic")
    code = f"import sys, {pure}; print([m for m in {outside} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_commands_that_read_no_configuration_load_nothing_that_checks_one() -> None:
    checking = ("pydantic", "yaml", "supervisor.config")
    code = f"import sys, supervisor.cli; print([m for m in {checking} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
