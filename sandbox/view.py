"""The live view: the tree on a terminal, a line at each change elsewhere."""

from collections import Counter
from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text
from typing_extensions import Self

from sandbox.github import SandboxGitHub
from supervisor.cli.client import ControlClient, ControlError
from supervisor.cli.render import tree_table


class View:
    """Shows the fleet while the context lasts.

    Args:
        client: of the daemon's control socket.
        github: where the jobs are.
    """

    def __init__(self, client: ControlClient, github: SandboxGitHub) -> None:
        self._client = client
        self._github = github
        self._console = Console(stderr=True)
        self._live: Live | None = None
        self._last = ""

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False, transient=False)
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live:
            self._live.stop()

    def refresh(self) -> None:
        """Show what is now."""
        jobs = Counter(job.conclusion or job.status for job in self._github.jobs())
        summary = "jobs: " + ", ".join(f"{count} {fate}" for fate, count in sorted(jobs.items()))
        if self._live:
            self._live.update(self._drawing(summary), refresh=True)
        elif summary != self._last:
            self._console.print(f"  {summary}", highlight=False)
        self._last = summary

    def _drawing(self, summary: str) -> Group:
        try:
            root: Any = self._client.get("/v1/tree")
            drawn: Any = tree_table(root, self._console.width)
        except ControlError as error:
            drawn = Text(str(error), "red")
        footer = Text(f"{summary}    Ctrl-C ends it and leaves nothing behind", "dim")
        return Group(drawn, Text(), footer)
