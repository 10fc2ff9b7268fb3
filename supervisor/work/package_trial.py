"""A policy package tried out: run beside the one in use, at an address that no guest reaches."""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from threading import Event
from time import monotonic
from typing import TYPE_CHECKING

from supervisor.config import credentials
from supervisor.gateways.policy_client import PolicyClient, PolicyUnavailable
from supervisor.gateways.policy_process import PolicyProcess, PolicyProcessError, account
from supervisor.hosted_policy import program
from supervisor.policy import tokens as policy_tokens
from supervisor.policy.secrets import Secret
from supervisor.policy.settings import Told, directory_of
from supervisor.work import policy as policy_work

if TYPE_CHECKING:
    from pathlib import Path

    from supervisor.config import Config

_START_LIMIT_S = 60.0
_PAUSE_S = 0.25
_LIFETIME = timedelta(minutes=5)
_RUNNER = "-"
_SECRET_BYTES = 32


@dataclass(frozen=True)
class Tried:
    """What came of it.

    Attributes:
        fault: why it is no service that could be used; empty if it is one.
        trouble: why, as it says itself, it can't check jobs now; empty if it can.
    """

    fault: str = ""
    trouble: str = ""


def try_out(config: Config, python: Path, directory: Path) -> Tried:
    """Start what is installed for a Python, with tokens of its own, and see whether it answers.

    It must know its own tokens and refuse others, which its process sees to before it answers.
    That it can't ask GitHub is no fault of its own: it says so, as a service that works does.
    Whether that counts depends on what another says at that time.

    Args:
        config: in force.
        python: of its environment.
        directory: an empty one, which it is given while it runs.

    Raises:
        ConfigError: the credential or the policy document can't be read.
        OSError: the directory can't be given to it.
    """
    now = datetime.now(timezone.utc)
    signing, probes = (Secret(secrets.token_bytes(_SECRET_BYTES), now) for _ in range(2))
    credential, document = credentials.read(config), policy_work.read_document_of(config)
    ended = Event()
    try:
        # Whom it runs as must find its environment before it is ever served.
        policy_work.prepare(directory_of(config), config.policy.user)
    except PolicyProcessError as error:
        return Tried(str(error))
    _give(directory, config.policy.user)
    told = Told(config, credential, document, (signing,), directory, program(python))
    # Its process alone listens then: when that ends, nobody waits for an answer in vain.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        try:
            process = PolicyProcess(
                policy_work.launch(told, probes), listener.fileno(), lambda _: ended.set()
            )
        except PolicyProcessError as error:
            return Tried(str(error))
    try:
        return _examine(process, port, probes.value)
    finally:
        process.kill()
        ended.wait(_START_LIMIT_S)


def _examine(process: PolicyProcess, port: int, secret: bytes) -> Tried:
    deadline = monotonic() + _START_LIMIT_S
    fault = f"it has not answered within {_START_LIMIT_S:.0f} s"
    with PolicyClient(f"http://127.0.0.1:{port}") as client:
        while monotonic() < deadline:
            if not process.alive:
                return Tried(process.last_words())
            try:
                if not client.takes(_token(secret)):
                    return Tried("it refuses a token that is good")
                if client.takes(_token(secrets.token_bytes(_SECRET_BYTES))):
                    return Tried("it takes a token that somebody else has signed")
                return Tried(trouble=client.trouble())
            except PolicyUnavailable as error:
                fault = str(error)
            Event().wait(_PAUSE_S)
    return Tried(fault)


def _token(secret: bytes) -> str:
    now = datetime.now(timezone.utc)
    return policy_tokens.issue(secret, _RUNNER, policy_tokens.ANYWHERE, now, _LIFETIME)


def _give(directory: Path, user: str | None) -> None:
    if user and os.geteuid() == 0:
        owner = account(user)
        os.chown(directory, owner.pw_uid, owner.pw_gid)
