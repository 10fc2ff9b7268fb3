"""What a guest is given when its instance is created: see ``docs/guest-contract.md``."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from ipaddress import IPv4Address
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from supervisor.guest import network as guest_network
from supervisor.guest.aproxy import PORT as APROXY_PORT
from supervisor.guest.network import GuestNetwork
from supervisor.web import proxies

_FUNCTIONS_END = "END_OF_SIGNAL_FUNCTIONS"
_POLICY_END = "END_OF_POLICY_SCRIPT"
_REFUSAL_END = "END_OF_REFUSAL_FUNCTIONS"
_GUEST_DIR = "/var/lib/github-runner-guest"

# What each value may be, over its whole length. Tight enough that no value means anything to a
# shell, to curl's configuration or inside an HTTP header.
_RUNNER_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,62}[A-Za-z0-9])?")
_BASE64 = re.compile(r"[A-Za-z0-9+/_=-]+")
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+")
_URL = re.compile(r"https?://[!-~]+")
_SIGNAL_URL = re.compile(r"http://(?:[A-Za-z0-9.-]+)(?::[0-9]{1,5})?/[!-~]*")
_POLICY_URL = re.compile(
    r"https?://(?:[A-Za-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~-]+)*"
)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_VERSION = re.compile(r"[A-Za-z0-9.+-]{0,64}")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_SECRET_NAMES = frozenset({"JIT_CONFIG", "SIGNAL_TOKEN"})
_PROXY_NAMES = frozenset({"http_proxy", "https_proxy"})
_HOME = re.compile(r"(?:/[A-Za-z0-9_][A-Za-z0-9_.-]*){2,}")


@dataclass(frozen=True, kw_only=True)
class GuestParameters:
    """Everything that one guest is given.

    Attributes:
        runner_name: The instance's and the runner's name.
        jit_config: GitHub's encoded just-in-time configuration. Secret.
        signal_url: Where the guest reports; plain HTTP, on the host's bridge.
        signal_token: This runner's bearer token for that address. Secret.
        application_url: Where the runner application's tarball can be had.
        application_sha256: Its SHA-256, in lower-case hexadecimal.
        runner_user: The unprivileged user that runs the application.
        runner_home: The application's directory; it is replaced if it holds another application.
        policy_url: What jobs are checked by before they run: the base of the policy service's API,
            without a slash at its end. Empty if they are not.
        network: What it is told of the network. Holds secrets.
        is_trial: It only tries its image, and has no job: its just-in-time configuration is empty,
            and it runs the application no further than to ask for its version.
        trial_version: The version that the application must say it is, in a trial; empty for any.

    Raises:
        ValueError: A value that a guest could not use; the message names it, and shows it unless it
            is a secret.
    """

    runner_name: str
    jit_config: str = field(repr=False)
    signal_url: str
    signal_token: str = field(repr=False)
    application_url: str
    application_sha256: str
    runner_user: str = "runner"
    runner_home: str = "/opt/actions-runner"
    policy_url: str = ""
    network: GuestNetwork = field(default_factory=GuestNetwork)
    is_trial: bool = False
    trial_version: str = ""

    def __post_init__(self) -> None:
        _require(_RUNNER_NAME, "runner_name", self.runner_name)
        _require(_SIGNAL_URL, "signal_url", self.signal_url)
        _require(_URL, "application_url", self.application_url)
        _require(_SHA256, "application_sha256", self.application_sha256)
        _require(_USER, "runner_user", self.runner_user)
        _require(_HOME, "runner_home", self.runner_home)
        if self.policy_url:
            _require(_POLICY_URL, "policy_url", self.policy_url)
        if self.is_trial != (not self.jit_config):
            raise ValueError("jit_config must be empty in a trial, and there only")
        if not _VERSION.fullmatch(self.trial_version):
            raise ValueError(f"trial_version: {self.trial_version!r} is no version")
        if self.jit_config and not _BASE64.fullmatch(self.jit_config):
            raise ValueError("jit_config is not base64")
        if not _TOKEN.fullmatch(self.signal_token):
            raise ValueError("signal_token has characters that a bearer token can't have")


def user_data(parameters: GuestParameters) -> str:
    """Return the shell script that makes an instance a runner.

    It is the value of the instance's ``cloud-init.user-data`` and holds secrets.
    """
    assignments = {
        "RUNNER_NAME": parameters.runner_name,
        "JIT_CONFIG": parameters.jit_config,
        "SIGNAL_URL": parameters.signal_url,
        "SIGNAL_TOKEN": parameters.signal_token,
        "APPLICATION_URL": parameters.application_url,
        "APPLICATION_SHA256": parameters.application_sha256,
        "TRIAL_VERSION": parameters.trial_version,
        "RUNNER_USER": parameters.runner_user,
        "RUNNER_HOME": str(PurePosixPath(parameters.runner_home)),
        "POLICY_URL": parameters.policy_url,
        "APROXY_PORT": str(APROXY_PORT),
        **guest_network.assignments(parameters.network),
    }
    lines = [f"{name}={shlex.quote(value)}\n" for name, value in assignments.items()]
    functions = guest_network.script(
        parameters.network, parameters.runner_name, _address(parameters.signal_url)
    )
    policy = _policy_script(parameters.policy_url) if parameters.policy_url else ""
    return "#!/bin/sh\n" + "".join(lines) + functions + policy + body()


def secrets_in(document: str) -> tuple[str, ...]:
    """Return the secrets that stand in a document made by `user_data`; none in any other."""
    found: dict[str, None] = {}
    for line in document.splitlines():
        name, _, quoted = line.partition("=")
        value = quoted.strip("'")
        if name in _SECRET_NAMES:
            found[value] = None
        elif name in _PROXY_NAMES:
            found.update(dict.fromkeys(proxies.secrets_in(value)))
    return tuple(filter(None, found))


@cache
def body() -> str:
    """Return what follows the assignments: the same for every runner."""
    package = files("supervisor.guest")
    functions = package.joinpath("signal.sh").read_text(encoding="utf-8")
    network = package.joinpath("network.sh").read_text(encoding="utf-8")
    application = package.joinpath("application.sh").read_text(encoding="utf-8")
    script = package.joinpath("guest.sh").read_text(encoding="utf-8")
    return (
        f"write_signal_functions() {{\ncat <<'{_FUNCTIONS_END}'\n"
        f"{functions}{_FUNCTIONS_END}\n}}\n{network}{application}{script}"
    )


def policy_script(policy_url: str, guest_dir: str = _GUEST_DIR) -> str:
    """Return the script that asks the policy service whether a job may run; for bash.

    Args:
        policy_url: the base of its API.
        guest_dir: where the guest's hooks lie.
    """
    script = files("supervisor.guest").joinpath("policy.sh").read_text(encoding="utf-8")
    return f"POLICY_URL={shlex.quote(policy_url)}\nGUEST_DIR={shlex.quote(guest_dir)}\n{script}"


def _policy_script(policy_url: str) -> str:
    refusal = files("supervisor.guest").joinpath("refusal.sh").read_text(encoding="utf-8")
    script = policy_script(policy_url)
    return (
        f"write_refusal_functions() {{\ncat <<'{_REFUSAL_END}'\n{refusal}{_REFUSAL_END}\n}}\n"
        f"write_policy_script() {{\ncat <<'{_POLICY_END}'\n{script}{_POLICY_END}\n}}\n"
    )


def _address(signal_url: str) -> IPv4Address | None:
    host = urlsplit(signal_url).hostname or ""
    return IPv4Address(host) if re.fullmatch(r"[0-9.]+", host) else None


def _require(pattern: re.Pattern[str], name: str, value: str) -> None:
    if not pattern.fullmatch(value):
        raise ValueError(f"{name} is {value!r}, which a guest can't use ({pattern.pattern})")
