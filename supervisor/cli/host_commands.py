"""The commands that make a host ready for the daemon, and leave it as it was: they need none."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from supervisor.cli.commands import main
from supervisor.cli.options import config_option, json_option
from supervisor.cli.output import FAILED, fail
from supervisor.cli.waiting import NotDone
from supervisor.config_basics import DEFAULT_SOCKET
from supervisor.text import sizes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from supervisor.config import Config
    from supervisor.gateways.lxd import LxdEndpoint


@main.command("prepare-lxd")
@config_option
def prepare_lxd(config_path: Path) -> None:
    """Make what the daemon needs in LXD, where it is missing: project, pool, bridge, profile.

    For root, or a member of LXD's group. What is there stays as it is; what is made is marked, and
    removed by `uninstall`. A line is printed for each thing that was made.
    """
    # The clients of LXD and GitHub are slow to import.
    from supervisor.config import load
    from supervisor.gateways.lxd import LxdError
    from supervisor.gateways.nftables import Nftables
    from supervisor.gateways.storage import StorageError
    from supervisor.host.preparation import PreparationRefused
    from supervisor.work.preparation import PreparationWork

    config = load(config_path)
    work = PreparationWork(_endpoint(config), config, Nftables(), click.echo)
    try:
        work.prepare()
    except (LxdError, OSError, PreparationRefused, StorageError) as error:
        raise NotDone(str(error)) from error


@main.command("prepare-storage")
@config_option
def prepare_storage(config_path: Path) -> None:
    """Make, mount, enlarge or remove storage pools of the daemon's own, as root.

    A daemon that is not root has systemd run this when there is something to do.
    """
    from supervisor.config import load
    from supervisor.observation import log
    from supervisor.work import storage as storage_work

    log.configure(identifier="github-runner-supervisor-storage")
    config = load(config_path)
    storage_work.check(config)
    found = storage_work.work_of(config).prepare()
    if isinstance(found, storage_work.PoolFailed):
        fail(found.reason, FAILED)
    for warning in found.warnings:
        click.echo(warning, err=True)
    used, total = (sizes.in_words(one) for one in found.space)
    click.echo(f"storage pool {found.pool} is ready: {used} of {total} are used")


@main.command()
@config_option
@json_option
def uninstall(config_path: Path, as_json: bool) -> None:
    """Remove all that this installation has, when no daemon of it is to run any more.

    For root. That is its instances, its registrations at GitHub, the images and storage pools that
    it has made, its firewall, what `prepare-lxd` has made, and what lies in its state directory.
    Jobs that run are lost: `drain` first. Nothing of anybody else's is touched, nor the
    configuration. What can't be removed is said, and the rest goes on; it may be run again.

    Exits 0 only if nothing is left but what is kept, as it is of use to somebody else.
    """
    from supervisor.config import load
    from supervisor.gateways.nftables import Nftables
    from supervisor.work.removal import RemovalWork
    from supervisor.work.removal_report import Outcome, Report

    config = load(config_path)

    def say(outcome: Outcome, what: str, why: str) -> None:
        if not as_json:
            told = f"{outcome} {what}" if outcome == "removed" else f"{outcome}: {what}: {why}"
            click.echo(told, err=outcome == "left")

    report = Report(say)
    with _no_daemon(config, "would go on keeping runners"):
        RemovalWork(_endpoint(config), config, Nftables(), report).remove()
        _remove_socket(config.control.socket)
    if as_json:
        kept, left = (
            [{"what": what, "why": why} for what, why in found.items()]
            for found in (report.kept, report.left)
        )
        found = {"removed": report.removed, "kept": kept, "left": left}
        click.echo(json.dumps(found, indent=2))
    elif not (report.removed or report.kept or report.left):
        click.echo(f"there is nothing of {config.name}")
    if report.left:
        sys.exit(FAILED)


@main.command("remove-firewall")
@config_option
def remove_firewall(config_path: Path) -> None:
    """Delete the firewall of this installation, when no daemon of it is to run any more."""
    from supervisor.config import load
    from supervisor.gateways.nftables import Nftables, NftablesError
    from supervisor.work import firewall as firewall_work

    config = load(config_path)
    try:
        with _no_daemon(config, "would put the firewall back"):
            removed = firewall_work.remove(Nftables(), config.name)
    except NftablesError as error:
        raise NotDone(str(error)) from error
    for name in removed:
        click.echo(f"deleted nft table inet {name}")
    if not removed:
        click.echo(f"there is no firewall of {config.name}")


@contextmanager
def _no_daemon(config: Config, does: str) -> Iterator[None]:
    """Hold the daemon's lock, so that none runs or starts meanwhile.

    Args:
        config: the installation's.
        does: what a daemon would do against it.
    """
    from supervisor import daemon

    try:
        with daemon.only_one(config.control.socket):
            yield
    except daemon.AlreadyRunning as error:
        raise NotDone(f"the daemon is running, and {does}: stop it first") from error


def _remove_socket(socket: Path) -> None:
    """Remove the control socket and its lock, and their directory if it is the usual one."""
    with suppress(OSError):
        socket.unlink(missing_ok=True)
        socket.with_suffix(".lock").unlink(missing_ok=True)
        if socket == DEFAULT_SOCKET:
            socket.parent.rmdir()


def _endpoint(config: Config) -> LxdEndpoint:
    from supervisor.gateways.lxd import LxdEndpoint

    lxd = config.lxd
    return LxdEndpoint(lxd.socket, lxd.project, lxd.timeout.total_seconds())
