"""What `top` needs before it shows anything."""

from __future__ import annotations

import curses
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from supervisor.cli import main, top_commands
from supervisor.cli.top import app


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Give a terminal, and note how the screen is run on it: with which options and colours."""
    noted: list[dict[str, Any]] = []
    monkeypatch.setenv("NO_COLOR", "")  # what the command sets is taken back, too
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setattr(top_commands, "_is_terminal", lambda: True)
    monkeypatch.setattr(curses, "setupterm", lambda: None)
    monkeypatch.setattr(curses, "tigetnum", lambda _: 256)

    def run(_: app.Top, **options: Any) -> None:
        noted.append({**options, "no_color": os.environ.get("NO_COLOR")})

    monkeypatch.setattr(app.Top, "run", run)
    return noted


def top(socket: Path) -> Result:
    return CliRunner().invoke(main, ["top", "--socket", str(socket)])


def test_without_a_terminal_it_says_what_there_is_instead(tmp_path: Path) -> None:
    done = top(tmp_path / "none.sock")
    assert done.exit_code == 2
    assert "status --json" in done.stderr


def test_a_daemon_that_is_not_there_yet_is_no_reason_not_to_begin(
    tmp_path: Path, runs: list[dict[str, Any]]
) -> None:
    assert top(tmp_path / "none.sock").exit_code == 0
    assert [run["mouse"] for run in runs] == [False]


def test_denied_access_is_said_at_once(
    tmp_path: Path, runs: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def deny(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("supervisor.cli.client._UnixConnection.connect", deny)
    done = top(tmp_path / "c.sock")
    assert (done.exit_code, runs) == (4, [])
    assert "access denied" in done.stderr


@pytest.mark.parametrize(
    ("colours", "no_color"), [(256, None), (8, None), (0, "1"), (-1, "1"), (None, "1")]
)
def test_a_terminal_without_colours_gets_none(
    tmp_path: Path,
    runs: list[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    colours: int | None,
    no_color: str | None,
) -> None:
    def set_up() -> None:
        if colours is None:
            raise curses.error("setupterm: could not find terminal")

    monkeypatch.setattr(curses, "setupterm", set_up)
    monkeypatch.setattr(curses, "tigetnum", lambda _: colours)
    top(tmp_path / "none.sock")
    assert [run["no_color"] for run in runs] == [no_color]
