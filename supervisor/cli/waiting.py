"""Wait until what was ordered is done, and say meanwhile what it waits for."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import Any

import click

from supervisor.cli.client import SILENCE_S, ControlClient, ControlError

_POLL_S = 0.25

Left = Callable[[], str]
"""Says what is still to come, in words that change as it does; nothing once all is done."""


class NotDone(Exception):
    """It was not done in time; the message says what is left."""


def wait(left: Left, limit_s: float | None) -> None:
    """Wait until nothing is left, and print each change of it.

    A daemon that is being restarted meanwhile is waited for, a minute at most.

    Args:
        left: asked again and again.
        limit_s: how long in all; None for as long as it takes.

    Raises:
        NotDone: the limit has passed, or what was ordered can't come any more.
        ControlError: the daemon has not answered for a minute.
    """
    began = heard = time.monotonic()
    said = ""
    while True:
        try:
            text = left()
            heard = time.monotonic()
        except ControlError as error:
            if time.monotonic() - heard > SILENCE_S:
                raise
            text = f"waits for the daemon: {error}"
        if not text:
            return
        if text != said:
            click.echo(text, err=True)
            said = text
        if limit_s is not None and time.monotonic() - began >= limit_s:
            raise NotDone(f"not done within {limit_s:g} s: {text}")
        time.sleep(_POLL_S)


def until_gone(client: ControlClient, names: Collection[str]) -> Left:
    """Wait for the end of runners."""

    def left() -> str:
        here = [runner for runner in client.get("/v1/runners") if runner["name"] in names]
        return f"{len(here)} of {len(names)} are left: {_stages(here)}" if here else ""

    return left


def until_empty(client: ControlClient) -> Left:
    """Wait until a fleet that is being drained has no runner."""

    def left() -> str:
        if client.get("/v1/status")["draining_since"] is None:
            raise NotDone("the drain was taken back meanwhile")
        here = client.get("/v1/runners")
        return f"{len(here)} are left: {_stages(here)}" if here else ""

    return left


def until_reconciled(client: ControlClient, done_by: int) -> Left:
    """Wait until a reconcile is done, and then until the wanted runners are there.

    Args:
        client: of the daemon.
        done_by: how many reconciles the fleet will have done then.
    """
    done = False
    most = 0

    def left() -> str:
        nonlocal done, most
        if not done:
            count = _reconciles(client)
            # A fleet that counts anew was started anew, and has reconciled at its start.
            done = count >= done_by or 0 < count < most
            most = max(most, count)
            if not done:
                return "compares what is with what is wanted"
        status = client.get("/v1/status")
        wanted = 0 if status["draining_since"] else status["wanted"]
        if status["present"] >= wanted:
            return ""
        problems = "".join(f"; {problem}" for problem in status["problems"])
        return f"{status['present']} of {wanted} runners are there{problems}"

    return left


def until_checked(client: ControlClient, ordered: Mapping[str, Any]) -> Left:
    """Wait until a look at the firewall is done.

    Args:
        client: of the daemon.
        ordered: its answer to the order: how many looks this incarnation of the firewall's actor
            will have done then.
    """

    def left() -> str:
        shown = client.get("/v1/firewall")
        # Another incarnation has come after the order, so its first look has, too.
        same = shown["incarnation"] == ordered["incarnation"]
        done = shown["checks"] >= (ordered["done_by"] if same else 1)
        return "" if done else "looks at the firewall"

    return left


def until_built(client: ControlClient, ordered: Mapping[str, Any]) -> Left:
    """Wait until an image that was ordered is built, or could not be.

    Args:
        client: of the daemon.
        ordered: its answer to the order: how many orders this incarnation of the image's actor
            will have carried out then.
    """

    def left() -> str:
        shown = client.get("/v1/image")
        if shown["state"] == "down":
            return str(shown["reason"])
        if shown["incarnation"] != ordered["incarnation"]:
            raise NotDone("the order was lost, as what carries it out was started anew: repeat it")
        if shown["orders"] >= ordered["done_by"]:
            return ""
        return shown["building"] or shown["lacks"] or "waits for what is under way"

    return left


def until_upgraded(client: ControlClient, ordered: Mapping[str, Any]) -> Left:
    """Wait until what was ordered to be looked for is found and got, or is known not to be.

    Args:
        client: of the daemon.
        ordered: its answer to the order: how many looks this incarnation of the actor will have
            done then, by what is looked after.
    """

    def left() -> str:
        shown = client.get("/v1/upgrades")
        if not shown["subjects"]:
            return "waits for the actor of upgrades"
        # Another incarnation has come after the order, so its first looks have, too.
        same = shown["incarnation"] == ordered["incarnation"]
        due = [
            one
            for one in shown["subjects"]
            if one["looks"] < (ordered["done_by"].get(one["what"], 0) if same else 1)
        ]
        return "; ".join(_progress_of(one) for one in due)

    return left


def _progress_of(subject: Mapping[str, Any]) -> str:
    progress = f": {subject['progress']}" if subject["progress"] else ""
    return f"{subject['what']}: looks for a newer one{progress}"


def _reconciles(client: ControlClient) -> int:
    nodes = [client.get("/v1/tree?runners=no")]
    for node in nodes:
        if node["id"] == "fleet":
            count: int = node["details"].get("reconciles", 0)
            return count
        nodes += node["children"]
    return 0


def _stages(runners: Collection[Mapping[str, Any]]) -> str:
    counts = Counter(runner["stage"] for runner in runners)
    return ", ".join(f"{count} {stage}" for stage, count in sorted(counts.items()))
