"""What the daemon answers, all that the screen needs at a time."""

from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias
from urllib.parse import quote

from supervisor.cli.client import AccessDenied, ControlError, NotRunning, NotThere

_EVENTS_SHOWN = 20
_EVENTS_OF_ONE = 200


class Client(Protocol):
    """Asks a daemon, as `ControlClient` does."""

    def get(self, path: str) -> Any:
        """Read something."""

    def post(self, path: str) -> Any:
        """Order something."""

    def delete(self, path: str) -> Any:
        """Have something removed."""


@dataclass(frozen=True)
class Silence:
    """No answer.

    Attributes:
        reason: why there is none.
    """

    reason: str


Events: TypeAlias = list[dict[str, Any]] | Silence
NO_JOURNAL = Silence("no journal")


@dataclass(frozen=True)
class Answers:
    """What a daemon has said.

    Attributes:
        status: the answer of `/v1/status`.
        tree: that of `/v1/tree`, without the runners' actors.
        runners: that of `/v1/runners`.
        events: those of `/v1/events`, oldest first, or why there are none.
    """

    status: dict[str, Any]
    tree: dict[str, Any] | None
    runners: list[dict[str, Any]]
    events: Events


def ask(client: Client) -> Answers | Silence:
    """Ask the daemon how things are."""
    try:
        return Answers(
            status=client.get("/v1/status"),
            tree=client.get("/v1/tree?runners=no"),
            runners=client.get("/v1/runners"),
            events=_events(client, f"limit={_EVENTS_SHOWN}"),
        )
    except ControlError as error:
        return Silence(str(error))
    except Exception as error:  # noqa: BLE001 - whatever it is, who asks again and again must say so
        return unreadable(error)


def unreadable(error: Exception) -> Silence:
    """Say that an answer was not as expected."""
    what = f"{type(error).__name__}: {error}"
    return Silence(f"the answer can't be read; is the daemon of another version? ({what})")


def read_runner(client: Client, name: str) -> tuple[Events, str]:
    """Ask what has become of a runner.

    Returns:
        Its events, and the logs that are kept of its guest; or why there are none.

    Raises:
        ControlError: the daemon does not answer.
    """
    name = quote(name, safe="")
    events = _events(client, f"runner={name}&limit={_EVENTS_OF_ONE}")
    try:
        return events, str(client.get(f"/v1/logs/{name}")["text"])
    except (NotRunning, AccessDenied):
        raise
    except ControlError as error:
        return events, str(error)


def _events(client: Client, query: str) -> Events:
    try:
        events: list[dict[str, Any]] = client.get(f"/v1/events?{query}")["events"]
    except (NotRunning, AccessDenied):
        raise
    except NotThere:  # a daemon of before
        return NO_JOURNAL
    except ControlError as error:
        return Silence(str(error))
    return events
