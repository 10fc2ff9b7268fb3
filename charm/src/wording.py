"""The unit's status in one sentence, from what the daemon says of its fleet."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["active", "waiting", "maintenance", "blocked"]

_LONGEST = 400
_FEWEST = 40
_COMING = ("requested", "creating", "booting")
_ENDING = ("finished", "failed")
_JOURNAL = "; `journalctl -u github-runner-supervisor` on the machine tells more"
_REJECTED = "credential-rejected"
"""The daemon's word for the cause that a credential is wrong, expired or revoked."""
_COMMANDS = re.compile(r"(?:; | \()[^;(`]*`.*")
"""What mends it, or shows more, to the end of a sentence."""
_UNIT_STATE = re.compile(r"([a-z]+)/([a-z-]+)[\s:;,]*(.*)", re.DOTALL)


@dataclass(frozen=True)
class Sentence:
    """A status: its kind as Juju calls it, and one line for people."""

    kind: Kind
    text: str


@dataclass(frozen=True)
class Runners:
    """How many runners are how far.

    Attributes:
        ready: can take a job; GitHub is asked every few minutes whether it sees them so, too.
        idle: can take a job, as GitHub sees it.
        busy: run one.
        coming: on their way there.
        retiring: GitHub is asked to let them go, and may give them a job yet.
        ending: on their way out.
    """

    ready: int
    idle: int
    busy: int
    coming: int
    retiring: int
    ending: int

    @property
    def online(self) -> int:
        """How many can take a job or run one."""
        return self.ready + self.idle + self.busy

    @property
    def left(self) -> int:
        """How many there are in all."""
        return self.online + self.coming + self.retiring + self.ending


def count(stages: Mapping[str, int]) -> Runners:
    """Sum up the stages that `supervisor-cli status` tells of."""

    def of(*names: str) -> int:
        return sum(stages.get(name, 0) for name in names)

    coming, retiring, ending = of(*_COMING), of("retiring"), of(*_ENDING)
    return Runners(of("ready"), of("idle"), of("busy"), coming, retiring, ending)


def of_fleet(status: Mapping[str, Any], unit: str) -> Sentence:
    """Say how the fleet is.

    A fleet with a problem is told as waiting where the problem costs runners: they are fewer than
    wanted. What costs none is told, too, and the unit stays active. A credential that GitHub
    refuses has it blocked, however many are online: nobody but the operator mends that.

    Args:
        status: the answer of `supervisor-cli status --json`.
        unit: whose action shows more.
    """
    runners = count(status.get("stages", {}))
    wanted = status.get("wanted", 0)
    if since := status.get("draining_since"):
        return Sentence("maintenance", _one_line(_draining(runners, since)))
    problems, warnings = status.get("problems", ()), status.get("warnings", ())
    if _cause_at_github(status) == _REJECTED:
        asks = status.get("github", {}).get("credential") or "credential"
        return _blocked(_refusal(asks, unit), f"; {_numbers(runners, wanted)}")
    parts = [_numbers(runners, wanted)]
    parts += [_first("problem", problems, unit)] if problems else []
    parts += [_first("warning", warnings, unit)] if warnings and not problems else []
    lacks = runners.online < wanted
    waiting = lacks and (bool(problems) or not runners.online)
    return Sentence("waiting" if waiting else "active", _one_line("; ".join(parts)))


def _cause_at_github(status: Mapping[str, Any]) -> str:
    """Give the cause why GitHub can't be asked; a daemon of an earlier version tells none."""
    return str(status.get("parts", {}).get("github", {}).get("cause", ""))


def of_silence(unit_state: str) -> Sentence:
    """Say why no daemon answers.

    Args:
        unit_state: systemd's ActiveState and SubState of the daemon's unit, such as
            `failed/failed`, and what its journal says last.
    """
    found = _UNIT_STATE.match(unit_state.strip())
    active, sub, words = found.groups() if found else ("", "", "")
    if active == "failed":
        said = words or "it does not say why"
        return _blocked(f"the daemon has failed: {said}", _JOURNAL)
    if sub == "auto-restart":
        return Sentence("waiting", f"the daemon has failed, and is started again{_JOURNAL}")
    if active in {"activating", "active", "reloading"}:
        return Sentence("waiting", "the daemon is starting")
    return _blocked(f"the daemon does not run: {unit_state}", _JOURNAL)


def refused(reason: str, *, keeps: bool) -> Sentence:
    """Say what has to be set otherwise.

    Args:
        reason: what is wrong, and what mends it.
        keeps: whether a daemon goes on with what was set before.
    """
    return _blocked(reason, "; the daemon keeps its last good configuration" if keeps else "")


def disabled(reason: str) -> Sentence:
    """Say what the machine could not do, which is tried again with each event."""
    return _blocked(reason, "; it is tried again within minutes")


def set_back(
    version: str, words: str, former: str, *, answers: bool, rest: Iterable[str] = ()
) -> Sentence:
    """Say that a version did not come up, which is there in its stead, and how that one is.

    Where all that is too long, the journal's words are cut first, and commands never.

    Args:
        version: that did not.
        words: the last that its journal says.
        former: that was put back.
        answers: whether that one does.
        rest: what else is to be told, the most urgent first.
    """
    begins, said = f"version {version} did not come up: ", _one_line(words)
    state = "runs on" if answers else "is put back"
    ends = f"; {former} {state}, until `juju refresh` brings another revision"
    room = _LONGEST - len(begins) - min(_FEWEST, len(said))
    for sentence in rest:
        ends += _after(ends, sentence, room)
    return _blocked(f"{begins}{_clipped(said, _LONGEST - len(begins) - len(ends))}", ends)


def with_warning(found: Sentence, warning: str) -> Sentence:
    """Add a warning to a status, where there is one and nothing worse is told."""
    if not warning or found.kind == "blocked":
        return found
    return Sentence(found.kind, _one_line(f"{found.text}; warning: {warning}"))


def taken(reason: str) -> Sentence:
    """Say that the machine is another's."""
    return _blocked(reason, "")


def _blocked(reason: str, rest: str) -> Sentence:
    """Say what is wrong in one line, as long as fits before the rest."""
    return Sentence("blocked", _one_line(reason, len(rest)) + rest)


def _numbers(runners: Runners, wanted: int) -> str:
    if not wanted and not runners.left:
        return "no runners are wanted"
    found = {"ready": runners.ready, "idle": runners.idle, "busy": runners.busy}
    now = ", ".join(f"{number} {what}" for what, number in found.items() if number)
    text = f"{runners.online} of {wanted} runners online" + (f": {now}" if now else "")
    return text + (f"; {runners.coming} coming" if runners.coming else "")


def _refusal(asks: str, unit: str) -> str:
    app = unit.partition("/")[0]
    option = "github-app-private-key-secret-id" if "App" in asks else "token-secret-id"
    return (
        f"GitHub refuses the {asks} (401), and no runner can be made: it is wrong, expired or "
        f"revoked; `juju update-secret` with another, or `juju config {app} {option}=SECRET`"
    )


def _draining(runners: Runners, since: str) -> str:
    rest = "`supervisor-cli resume` on the machine keeps runners again"
    if not runners.left:
        return f"drained, no runner is left; {rest}"
    busy = f", {runners.busy} busy" if runners.busy else ""
    return f"draining since {since[:16].replace('T', ' ')} UTC, {runners.left} left{busy}; {rest}"


def _first(what: str, sentences: Iterable[str], unit: str) -> str:
    first, *others = sentences
    more = f" (and {len(others)} more: `juju run {unit} tree`)" if others else ""
    return _clipped(f"{what}: {' '.join(str(first).split())}", _LONGEST // 2) + more


def _after(others: str, sentence: str, room: int) -> str:
    """Give what is said of a sentence after others: its commands whole, or not at all."""
    text, left = _one_line(sentence), room - len(others) - len("; ")
    if len(text) > left:
        found = _COMMANDS.search(text)
        commands = found.group() if found else ""
        reason = text.removesuffix(commands)
        if left - len(commands) < min(_FEWEST, len(reason)):
            commands = ""
        text = _clipped(reason, left - len(commands)) + commands
    return f"; {text}" if left >= _FEWEST else ""


def _one_line(text: str, spare: int = 0) -> str:
    printable = "".join(c if c.isprintable() else " " for c in text)
    return _clipped(" ".join(printable.split()), _LONGEST - spare)


def _clipped(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
