"""The work on the policy service, as calls that block and return what they found.

Workers run it in their threads: it raises nothing that is LXD's, a file's or the service's.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

from loguru import logger

from supervisor.causes import Cause, cause_of
from supervisor.config import Config, ConfigError, credentials, read_document
from supervisor.gateways.decision_log import Tally
from supervisor.gateways.lxd import Lxd, LxdError
from supervisor.gateways.policy_client import PolicyClient, PolicyUnavailable
from supervisor.gateways.policy_process import (
    Launch,
    PolicyProcess,
    PolicyProcessError,
    Seen,
    account,
)
from supervisor.gateways.policy_service import PolicyService
from supervisor.gateways.private_file import ensure_directory, read_whole, write_whole
from supervisor.policy import document
from supervisor.policy import secrets as policy_secrets
from supervisor.policy import tokens as policy_tokens
from supervisor.policy.secrets import Ring, Secret
from supervisor.policy.settings import Told, directory_of
from supervisor.policy.token_desk import Signer
from supervisor.policy.verdicts import Verdicts
from supervisor.supervision import Clock

_SECRET_BYTES = 32
_PROBE_LIFETIME = timedelta(seconds=30)
_PROBE = "-"
_REFILL_LIMIT_S = 10.0


def check(config: Config) -> None:
    """Check what the policy's settings name; nothing is started.

    Raises:
        ConfigError: it can't be used.
    """
    policy = config.policy
    if policy.mode == "external":
        credentials.read_policy_token(config)
        return
    read_document_of(config)
    if policy.user is None:
        return
    try:
        account(policy.user)
    except PolicyProcessError as error:
        raise ConfigError(str(error)) from error


@dataclass(frozen=True)
class Served:
    """The service is there, or has just been started.

    Attributes:
        base: its address.
        pid: the process; another number than before is another run.
        signer: what guests' tokens are to be signed with, as soon as it answers.
        next_change: when it is to be given other secrets.
        stamp: of the credential that it has.
    """

    base: str
    pid: int
    signer: Signer
    next_change: datetime
    stamp: object


@dataclass(frozen=True)
class NotServed:
    """It could not be started with what is configured, and why, for the operator and in a word."""

    reason: str
    cause: Cause = Cause.UNKNOWN


def ensure(
    lxd: Lxd,
    service: PolicyService,
    config: Config,
    now: datetime,
    ended: Callable[[PolicyProcess], object],
    program: tuple[str, ...] = (),
) -> Served | NotServed:
    """See to it that the service runs with what is configured; what is right stays as it is.

    Args:
        lxd: knows the address that guests reach this host at.
        service: what there is of it.
        config: in force.
        now: the time.
        ended: told of the end of a process that was started.
        program: what is run, where it is not the service built in.
    """
    try:
        return _ensure(lxd, service, config, now, ended, program)
    except (LxdError, PolicyProcessError, ConfigError) as error:
        return NotServed(str(error), cause_of(error))
    except OSError as error:
        return NotServed(f"{error.filename or directory_of(config)}: {error.strerror}")


def _ensure(
    lxd: Lxd,
    service: PolicyService,
    config: Config,
    now: datetime,
    ended: Callable[[PolicyProcess], object],
    program: tuple[str, ...],
) -> Served:
    address = service.address or str(config.signals.address or "")
    address = address or str(lxd.bridge_address(config.lxd.network).ip)
    port, directory = config.policy.port, directory_of(config)
    base = f"http://{address}:{port}"
    lifetime = config.token_lifetime
    seen = credentials.stamp(config)
    ring = _renew(config.state_directory / "policy-secrets", now, lifetime)
    told = Told(
        config, credentials.read(config), read_document_of(config), ring, directory, program
    )
    made_from = told.made_from(base)
    process = service.process_made_from(made_from)
    if process is None:
        prepare(directory, config.policy.user)
        service.listen(address, port)
        probes = Secret(secrets.token_bytes(_SECRET_BYTES), now)
        process = service.serve(launch(told, probes), made_from, probes.value, ended)
    return Served(
        base,
        process.pid,
        Signer(ring[0].value, lifetime),
        policy_secrets.next_change(ring, lifetime),
        seen,
    )


def launch(told: Told, probes: Secret) -> Launch:
    """Say how a process is started that is told this.

    Args:
        told: everything.
        probes: signs the tokens by which it is told from others.
    """
    charm_token = secrets.token_urlsafe(_SECRET_BYTES)
    return Launch(
        told.settings(charm_token, probes),
        told.workers,
        told.threads,
        told.config.policy.user,
        (*told.secrets(), charm_token, probes.encoded),
        told.program,
    )


def read_document_of(config: Config) -> Any:
    """Read the policy document, if it is in a file of its own.

    Raises:
        ConfigError: it can't be used.
    """
    given = config.policy.document
    if not isinstance(given, Path):
        return given  # it has been checked with the configuration
    found = read_document(given, "policy.document")
    try:
        document.parse(found)
    except document.DocumentError as error:
        raise ConfigError(f"policy.document: {given}: {error}") from error
    return found


def _renew(path: Path, now: datetime, lifetime: timedelta) -> Ring:
    """Give the secrets that are to be used now, and keep them.

    They outlive the daemon: runners that wait for a job have tokens that they signed.
    """
    try:
        ring = policy_secrets.read(read_whole(path))
    except FileNotFoundError:
        ring = ()
    except ValueError as error:
        logger.error("{} can't be used ({}): tokens that guests have are void", path, error)
        ring = ()
    renewed = policy_secrets.renewed(ring, secrets.token_bytes(_SECRET_BYTES), now, lifetime)
    if renewed != ring:
        write_whole(path, policy_secrets.written(renewed))
    return renewed


def prepare(directory: Path, user: str | None) -> None:
    """Make the service's directory, which is its user's, and let that user find it.

    What is in it already is never given to another user: that user could have put a link there.

    Raises:
        PolicyProcessError: it is somebody else's.
    """
    if user is None:
        if directory.exists() and directory.stat().st_uid != os.geteuid():
            raise PolicyProcessError(
                f"{directory} is another user's, as policy.user is not set any more: "
                f"chown -R {os.geteuid()} {directory}"
            )
        ensure_directory(directory)
        return
    owner = account(user)
    if os.geteuid() not in {0, owner.pw_uid}:
        raise PolicyProcessError(
            "policy.user: only a daemon that is root can run the policy service as another user; "
            "leave it out"
        )
    if not directory.exists():
        directory.mkdir(mode=0o700)
        os.chown(directory, owner.pw_uid, owner.pw_gid)
    if directory.stat().st_uid != owner.pw_uid:
        raise PolicyProcessError(f"{directory} is not policy.user's: chown -R {user} {directory}")
    # Its group may go through, and no more; all that is in it besides is the daemon's own.
    os.chown(directory.parent, -1, owner.pw_gid)
    directory.parent.chmod(0o710)


@dataclass(frozen=True)
class Examined:
    """What a service said, and what was seen of it.

    Attributes:
        ticket: of the examination.
        fault: why it does not do as such a service does; empty if it does.
        trouble: why, as it says itself, it can't check jobs; empty if it can.
        seen: its processes, if they are ours.
        tally: its decisions, likewise.
        stamp: of the credential that it should have.
        tokens: what it has issued for guests.
    """

    ticket: int
    fault: str = ""
    trouble: str = ""
    seen: Seen | None = None
    tally: Tally = field(default_factory=Tally)
    stamp: object = None
    tokens: tuple[str, ...] = field(default=(), repr=False)


def examine(
    service: PolicyService,
    config: Config,
    base: str,
    verdicts: Verdicts,
    clock: Clock,
    ticket: int,
) -> Examined:
    """See whether the service does what it should."""
    process, key = service.process, service.key
    seen = process.look() if process else None
    found = credentials.stamp(config)
    tally = verdicts.tally
    try:
        tally = verdicts.read(clock)
    except OSError as error:
        logger.warning("can't read the decisions: {}", error)
    # Signed with what only this run knows: not one that is still ending, nor anybody else.
    token = policy_tokens.issue(key, _PROBE, policy_tokens.ANYWHERE, clock.now(), _PROBE_LIFETIME)
    try:
        with PolicyClient(base) as client:
            if not client.takes(token):
                fault = "it does not take the daemon's own token"
                return Examined(ticket, fault, "", seen, tally, found)
            return Examined(ticket, "", _trouble(client), seen, tally, found)
    except PolicyUnavailable as error:
        return Examined(ticket, str(error), "", seen, tally, found)


def _trouble(client: PolicyClient) -> str:
    """Say why a service that answers can't check jobs: that it takes long to say is no fault."""
    try:
        return client.trouble()
    except PolicyUnavailable as error:
        return f"it does not say whether it can ask GitHub: {error}"


def examine_external(config: Config, wanted: int, ticket: int) -> Examined:
    """See whether a service elsewhere is well, and have it issue so many tokens."""
    tokens: list[str] = []
    deadline = monotonic() + _REFILL_LIMIT_S
    try:
        with PolicyClient(config.policy.url or "") as client:
            charm_token = credentials.read_policy_token(config)
            trouble = client.trouble()
            while len(tokens) < wanted and not trouble and monotonic() < deadline:
                tokens.append(client.one_time_token(charm_token))
    except (PolicyUnavailable, ConfigError) as error:
        return Examined(ticket, str(error), tokens=tuple(tokens))
    return Examined(ticket, "", trouble, tokens=tuple(tokens))
