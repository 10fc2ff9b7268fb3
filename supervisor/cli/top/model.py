"""What the screen shows: pure, and each text of it one line that a terminal only prints."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from supervisor.cli.journal_words import event_line
from supervisor.cli.render import job_in_words
from supervisor.cli.status_words import budget_lines, headline, runners_in_words
from supervisor.cli.times import age
from supervisor.cli.top.source import Answers, Silence
from supervisor.roles import OBSERVERS, RUNNERS
from supervisor.text.printable import one_line

_ORDER = (
    "failed", "busy", "idle", "ready", "booting", "creating", "requested", "retiring", "finished",
)  # fmt: skip


@dataclass(frozen=True)
class RunnerRow:
    """A runner."""

    name: str
    stage: str
    age: str
    job: str
    reason: str

    @property
    def rank(self) -> tuple[int, str]:
        """Where it stands: what needs an eye comes first."""
        stage = _ORDER.index(self.stage) if self.stage in _ORDER else len(_ORDER)
        return stage, self.name

    def matches(self, text: str) -> bool:
        """Tell whether it has a text somewhere."""
        words = f"{self.name} {self.stage} {self.job} {self.reason}"
        return text.casefold() in words.casefold()

    def __str__(self) -> str:
        """Say all that is known of it in a sentence."""
        known = (f"{self.name}: {self.stage} for {self.age}", self.job, self.reason)
        return "; ".join(filter(None, known))


@dataclass(frozen=True)
class ActorWord:
    """An actor that is always there, in a few words.

    Attributes:
        text: its name and its state.
        sound: whether nothing is wrong with it.
    """

    text: str
    sound: bool


@dataclass(frozen=True)
class View:
    """All that the screen shows.

    Attributes:
        headline: which fleet it is, and how.
        numbers: how many runners are there.
        budget: what GitHub allows.
        trouble: the first problem or warning, and how many there are.
        draining: whether the fleet is being drained.
        runners: in the order in which they stand.
        actors: in the tree's order; of supervisors only those that are in trouble.
        events: the newest ones, oldest first.
    """

    headline: str
    numbers: str
    budget: str
    trouble: str
    draining: bool
    runners: tuple[RunnerRow, ...]
    actors: tuple[ActorWord, ...]
    events: tuple[str, ...]


def view_of(answers: Answers, now: datetime) -> View:
    """Make the screen of what a daemon has said.

    Args:
        answers: all of them.
        now: against which ages are told.
    """
    status = answers.status
    github = status["github"]
    budget = (
        "; ".join(sorted(budget_lines(github), key=_core_first))
        or f"{github['url']}: sets no limit, or was not asked"
    )
    return View(
        headline=one_line(headline(status)),
        numbers=one_line(runners_in_words(status)),
        budget=one_line(budget),
        trouble=one_line(_trouble(status)),
        draining=status["draining_since"] is not None,
        runners=tuple(sorted((_row(one, now) for one in answers.runners), key=lambda r: r.rank)),
        actors=tuple(_actors(answers.tree, _told_of_actors(status))),
        events=event_lines(answers.events),
    )


def event_lines(events: Iterable[Mapping[str, Any]] | Silence) -> tuple[str, ...]:
    """Write events, a line each.

    Args:
        events: of `/v1/events`, or why there are none.
    """
    if isinstance(events, Silence):
        return (one_line(events.reason),)
    return tuple(map(event_line, events))


def matching(rows: Sequence[RunnerRow], text: str) -> Sequence[RunnerRow]:
    """Give the runners that have a text somewhere; all of them if it is empty."""
    return [row for row in rows if row.matches(text)] if text else rows


def _row(runner: Mapping[str, Any], now: datetime) -> RunnerRow:
    job = runner["job"]
    return RunnerRow(
        name=one_line(runner["name"]),
        stage=one_line(runner["stage"]),
        age=age(runner["since"], now),
        job=one_line(job_in_words(job)) if job else "",
        reason=one_line(runner["reason"]),
    )


def _core_first(line: str) -> bool:
    """Order limits: the one that most calls count against stands where it is surely seen."""
    return not line.startswith("core: ")


def _trouble(status: Mapping[str, Any]) -> str:
    problems, warnings = status["problems"], status["warnings"]
    if problems:
        return f"{_first('problem', problems)}; `supervisor-cli status` says what to do"
    if since := status["draining_since"]:
        return f"draining since {since[:16].replace('T', ' ')}: no runner is created until resumed"
    return _first("warning", warnings) if warnings else "nothing is wrong"


def _restarts(count: int) -> str:
    return f" ({count} restart{'' if count == 1 else 's'})" if count else ""


def _first(kind: str, told: Sequence[str]) -> str:
    count = f"{len(told)} {kind}s, the first: " if len(told) > 1 else f"{kind}: "
    return f"{count}{told[0]}"


def _told_of_actors(status: Mapping[str, Any]) -> Sequence[str]:
    """Give what names actors in trouble: problems, and of those that only show warnings."""
    warnings: Sequence[str] = status["warnings"]
    return [
        *status["problems"],
        *(warning for warning in warnings if warning.partition(":")[0] in OBSERVERS),
    ]


def _actors(
    node: Mapping[str, Any] | None, told: Sequence[str], above: str = ""
) -> Iterator[ActorWord]:
    if node is None:
        return
    sound = not any(words.startswith(f"{node['id']}: ") for words in told)
    if not sound or node["kind"] != "supervisor":
        restarts = _restarts(node["restarts"])
        words = f"{'' if sound else '! '}{node['id']} {node['state']}{restarts}"
        yield ActorWord(one_line(words), sound)
    if node["id"] == RUNNERS and above == "core":
        return
    for child in node["children"]:
        yield from _actors(child, told, node["id"])
