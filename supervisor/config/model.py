"""What can be set: each key with its type, its default and an example."""

import os
from collections.abc import Iterator
from datetime import timedelta
from ipaddress import IPv4Address, IPv6Network
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from supervisor.config.values import (
    POLICY_MODES,
    AppId,
    BaseImageName,
    BuildInterval,
    CollectorUrl,
    Destinations,
    Directory,
    Duration,
    File,
    Fingerprint,
    GitHubUrl,
    Group,
    GuestSize,
    Host,
    HostAddress,
    JournalSize,
    Labels,
    LogSize,
    LxdName,
    MirrorUrl,
    Name,
    Networks,
    PackageApp,
    PackageIndex,
    PackageRequirement,
    Packages,
    PageAddress,
    PolicyDocument,
    PolicyMode,
    PolicyUrl,
    PortSet,
    ProxyAddress,
    ProxyExceptions,
    RunnerStorage,
    ScopePath,
    ScriptFile,
    SecretFile,
    Share,
    Socket,
    Token,
    User,
    Whole,
)
from supervisor.config_basics import DEFAULT_SOCKET, LogLevel
from supervisor.firewall.networks import parse_networks
from supervisor.github.scope import Scope
from supervisor.guest import aproxy
from supervisor.lifecycle import Limits
from supervisor.policy import package as policy_package
from supervisor.policy.package import PackageSource
from supervisor.text import sizes
from supervisor.web.proxies import Proxies, Proxy

DEFAULT_STATE_DIRECTORY = Path("/var/lib/github-runner-supervisor")
_DEFAULT_GROUP = "Default"
_APP_EXAMPLE = (
    "{id: 12345, installation-id: 678, private-key-file: /etc/github-runner-supervisor/app.pem}"
)


_SSH_DEBUG_EXAMPLE = (
    "[{host: 10.5.0.7, port: 10022, "
    "rsa-fingerprint: SHA256:ovh8Zf0fzPbDnFyfp1Hrl2nOxNDlWcGEkWVaHnRJ2+s, "
    "ed25519-fingerprint: SHA256:yVbQu2mVd7hJ2OEb4R0k7bvSuDPrrkOUNfDZqyXEnKk}]"
)
_METRIC_LOG_EXAMPLE = "/var/log/github-runner-supervisor/metrics.log"
_PRIVATE = parse_networks("10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16")
# Where a cloud tells its instances their credentials, and hosts agree on addresses by themselves.
_METADATA = parse_networks("169.254.0.0/16")


_KEYS_OF_MODES = (
    (("external",), {"url", "token", "token-file"}),
    (("package",), {"package", "package-index", "package-links", "package-app"}),
    (("builtin", "package", "off"), {"document", "user"}),
)
"""Which keys of the policy's are for which of its modes alone."""


def kebab(name: str) -> str:
    """Spell a field's name as its key in the file."""
    return name.replace("_", "-")


class _Section(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=kebab,
        validate_by_name=False,
        hide_input_in_errors=True,
    )


class LxdConfig(_Section):
    """Where LXD is and what instances are made of there."""

    socket: Socket | None = Field(None, examples=["/var/snap/lxd/common/lxd/unix.socket"])
    project: LxdName = Field("default", examples=["github-runners"])
    pool: LxdName = Field("default", examples=["default"])
    network: LxdName = Field("lxdbr0", examples=["lxdbr0"])
    profile: LxdName = Field("default", examples=["default"])
    image: str | None = Field(None, pattern=r"^[!-~]+$", examples=["github-runner"])
    instance_type: Literal["virtual-machine", "container"] = Field(
        "virtual-machine", examples=["virtual-machine"]
    )
    timeout: Duration = Field(timedelta(seconds=30), examples=["30s"])
    creations_at_once: Whole = Field(4, ge=1, le=64, examples=[4])


class ControlConfig(_Section):
    """The socket that `supervisor-cli` talks to."""

    socket: Socket = Field(DEFAULT_SOCKET, examples=[str(DEFAULT_SOCKET)])
    debug: bool = Field(default=False, examples=[False])


class SignalsConfig(_Section):
    """Where the guests report. The address is that of the LXD bridge, unless given."""

    address: HostAddress | None = Field(None, examples=["10.0.100.1"])
    port: Whole = Field(8642, ge=1, le=65535, examples=[8642])


class MetricsConfig(_Section):
    """Where Prometheus reads how the fleet is."""

    address: PageAddress = Field(IPv4Address("127.0.0.1"), examples=["127.0.0.1"])
    port: Whole = Field(9469, ge=1, le=65535, examples=[9469])


class PolicyConfig(_Section):
    """The service that says whether a job may run."""

    mode: PolicyMode = Field("builtin", examples=["builtin"])
    port: Whole = Field(8643, ge=1, le=65535, examples=[8643])
    workers: Whole = Field(2, ge=1, le=32, examples=[2])
    document: PolicyDocument = Field(None, examples=["/etc/github-runner-supervisor/policy.yaml"])
    user: User | None = Field(None, examples=["runner-policy"])
    token_lifetime: Duration | None = Field(None, examples=["2d"])
    url: PolicyUrl | None = Field(None, examples=["https://policy.example.com"])
    token: Token | None = Field(None, examples=["a-secret"])
    token_file: SecretFile | None = Field(
        None, examples=["/etc/github-runner-supervisor/policy-token"]
    )

    package: PackageRequirement | None = Field(None, examples=["repo-policy-compliance==1.11.0"])
    package_index: PackageIndex | None = Field(None, examples=["https://pypi.example.com/simple"])
    package_links: Directory | None = Field(
        None, examples=["/var/lib/github-runner-supervisor/wheels"]
    )
    package_app: PackageApp = Field(
        policy_package.DEFAULT_APP, examples=[policy_package.DEFAULT_APP]
    )

    @model_validator(mode="before")
    @classmethod
    def _is_more_than_a_mode(cls, given: Any) -> Any:
        mode = "off" if given is False else given  # what YAML makes of the bare word
        if isinstance(mode, str) and mode in POLICY_MODES:
            raise ValueError(f"must hold keys and values; for example `policy: {{mode: {mode}}}`")
        return given

    @model_validator(mode="after")
    def _fits_its_mode(self) -> "PolicyConfig":
        fields = type(self).model_fields
        given = {kebab(key) for key, value in self if value != fields[key].default}
        if self.mode == "external" and (
            self.url is None or (self.token is None) == (self.token_file is None)
        ):
            raise ValueError(
                "mode external needs url, and one of token and token-file; for example "
                "`{mode: external, url: https://policy.example.com, "
                "token-file: /etc/github-runner-supervisor/policy-token}`"
            )
        if self.mode == "package" and self.package is None:
            raise ValueError(
                "mode package needs package; for example "
                "`{mode: package, package: repo-policy-compliance==1.11.0}`"
            )
        for modes, keys in _KEYS_OF_MODES:
            strange = " and ".join(sorted(given & keys))
            if strange and self.mode not in modes:
                theirs = [mode for mode in modes if mode != "off"]
                their = " or ".join(theirs)
                other = " or ".join(f"`mode: {mode}`" for mode in theirs)
                raise ValueError(f"{strange}: only for mode {their}; leave out, or set {other}")
        return self

    @property
    def is_here(self) -> bool:
        """Whether this host runs the service."""
        return self.mode in {"builtin", "package"}

    @property
    def package_source(self) -> PackageSource:
        """What is to be installed; only where mode is package."""
        assert self.package is not None  # noqa: S101 - the mode needs it
        index = self.package_index.get_secret_value() if self.package_index else ""
        links = str(self.package_links or "")
        return policy_package.source(self.package.get_secret_value(), index, links)


class LogsConfig(_Section):
    """What is kept of the logs of guests that failed."""

    keep: Whole = Field(50, ge=1, le=10_000, examples=[50])
    size: LogSize = Field("1MiB", examples=["1MiB"])

    @property
    def most_bytes(self) -> int:
        """How large one runner's may be."""
        return sizes.parse(self.size)


class JournalConfig(_Section):
    """How much is kept of what has happened."""

    retention_days: Whole = Field(30, ge=1, le=3650, examples=[30])
    max_size: JournalSize = Field("256MiB", examples=["256MiB"])

    @property
    def most_bytes(self) -> int:
        """How large it may be."""
        return sizes.parse(self.max_size)


class MetricLogConfig(_Section):
    """Where metric events go that others have queries for."""

    path: File | None = Field(None, examples=[_METRIC_LOG_EXAMPLE])
    max_size: JournalSize = Field("16MiB", examples=["16MiB"])
    keep: Whole = Field(5, ge=1, le=100, examples=[5])

    @property
    def most_bytes(self) -> int:
        """How large one file may be."""
        return sizes.parse(self.max_size)


class AppConfig(_Section):
    """A GitHub App that asks for us, by one of its installations."""

    id: AppId = Field(examples=["12345"])
    installation_id: Whole = Field(ge=1, examples=[678])
    private_key_file: SecretFile = Field(examples=["/etc/github-runner-supervisor/app.pem"])


class SshDebugConfig(_Section):
    """A tmate server over which a job may let its author in."""

    host: Host = Field(examples=["10.5.0.7"])
    port: Whole = Field(ge=1, le=65535, examples=[10022])
    rsa_fingerprint: Fingerprint = Field(
        examples=["SHA256:ovh8Zf0fzPbDnFyfp1Hrl2nOxNDlWcGEkWVaHnRJ2+s"]
    )
    ed25519_fingerprint: Fingerprint = Field(
        examples=["SHA256:yVbQu2mVd7hJ2OEb4R0k7bvSuDPrrkOUNfDZqyXEnKk"]
    )


class LimitsConfig(_Section):
    """How long each stage of a runner may last."""

    requested: Duration = Field(Limits.requested, examples=["10m"])
    creating: Duration = Field(Limits.creating, examples=["10m"])
    booting: Duration = Field(Limits.booting, examples=["10m"])
    ready: Duration = Field(timedelta(minutes=5), examples=["5m"])
    idle: Duration = Field(timedelta(days=1), examples=["1d"])
    busy: Duration = Field(Limits.busy, examples=["5d"])
    retiring: Duration = Field(Limits.retiring, examples=["2m"])
    finished: Duration = Field(Limits.finished, examples=["2m"])
    offline: Duration = Field(timedelta(minutes=5), examples=["5m"])

    def limits(self) -> Limits:
        """Give them as the lifecycle takes them."""
        return Limits(**self.model_dump(exclude={"ready", "idle", "offline"}))


class Config(_Section):
    """All that an operator sets."""

    name: Name = Field(examples=["runner-host-1"])
    path: ScopePath = Field(examples=["my-organisation"])
    github_url: GitHubUrl = Field("https://github.com", examples=["https://github.com"])
    token: Token | None = Field(None, examples=["ghp_..."])
    token_file: SecretFile | None = Field(None, examples=["/etc/github-runner-supervisor/token"])
    app: AppConfig | None = Field(None, examples=[_APP_EXAMPLE])
    virtual_machines: Whole = Field(1, ge=0, le=10_000, examples=[3])
    max_unavailable: Share = Field("25%", examples=["25%"])
    labels: Labels = Field((), examples=["large, gpu"])
    group: Group = Field(_DEFAULT_GROUP, examples=["Default"])
    vm_cpu: Whole = Field(2, ge=1, le=1024, examples=[2])
    vm_memory: GuestSize = Field("7GiB", examples=["7GiB"])
    vm_disk: GuestSize = Field("10GiB", examples=["10GiB"])
    runner_storage: RunnerStorage = Field("pool", examples=["memory"])
    base_image: BaseImageName = Field("noble", examples=["noble"])
    image_build_interval: BuildInterval = Field(timedelta(hours=6), examples=["6h"])
    image_extra_packages: Packages = Field((), examples=["cmake, libpq-dev"])
    image_script: ScriptFile | None = Field(
        None, examples=["/etc/github-runner-supervisor/image.sh"]
    )
    firewall: Literal["managed", "external"] = Field("managed", examples=["managed"])
    denylist: Networks = Field(_METADATA, examples=["10.0.0.0/8, 192.168.0.0/16, 2001:db8::/32"])
    allowlist: Destinations = Field((), examples=["10.1.2.3:443, 10.4.0.0/16"])
    http_proxy: ProxyAddress = Field(None, examples=["http://proxy.example.com:3128"])
    https_proxy: ProxyAddress = Field(None, examples=["http://proxy.example.com:3128"])
    no_proxy: ProxyExceptions = Field((), examples=["localhost, 127.0.0.1, .example.com"])
    use_aproxy: bool = Field(default=False, examples=[True])
    aproxy_exclude_addresses: Networks = Field(
        _PRIVATE, examples=["10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16"]
    )
    aproxy_redirect_ports: PortSet = Field((80, 443, 11371), examples=["80, 443"])
    dockerhub_mirror: MirrorUrl | None = Field(None, examples=["https://mirror.example.com:5000"])
    ssh_debug: tuple[SshDebugConfig, ...] = Field((), examples=[_SSH_DEBUG_EXAMPLE])
    reconcile_interval: Duration = Field(timedelta(minutes=10), examples=["10m"])
    upgrade_interval: Duration = Field(timedelta(minutes=10), examples=["10m"])
    state_directory: Directory = Field(
        DEFAULT_STATE_DIRECTORY, examples=[str(DEFAULT_STATE_DIRECTORY)]
    )
    log_level: LogLevel = Field("INFO", examples=["DEBUG"])
    otel_collector_endpoint: CollectorUrl | None = Field(
        None, examples=["http://collector.example.com:4318"]
    )
    logs: LogsConfig = LogsConfig()
    limits: LimitsConfig = LimitsConfig()
    lxd: LxdConfig = LxdConfig()
    signals: SignalsConfig = SignalsConfig()
    policy: PolicyConfig = PolicyConfig()
    control: ControlConfig = ControlConfig()
    metrics: MetricsConfig = MetricsConfig()
    journal: JournalConfig = JournalConfig()
    metric_log: MetricLogConfig = MetricLogConfig()

    @model_validator(mode="after")
    def _has_one_credential(self) -> "Config":
        given = (self.token, self.token_file, self.app)
        if sum(one is not None for one in given) != 1:
            raise ValueError(
                "give one of token, token-file and app; for example "
                "`token-file: /etc/github-runner-supervisor/token`"
            )
        return self

    @model_validator(mode="after")
    def _has_groups(self) -> "Config":
        default = self.group.casefold() == _DEFAULT_GROUP.casefold()
        if not default and not Scope.parse(self.path).has_groups:
            raise ValueError(
                f"group: the repository {self.path} has no runner groups; leave it out"
            )
        return self

    @model_validator(mode="after")
    def _aproxy_has_a_proxy(self) -> "Config":
        if not self.use_aproxy:
            return self
        if any(isinstance(network, IPv6Network) for network in self.aproxy_exclude_addresses):
            raise ValueError("aproxy-exclude-addresses: aproxy redirects IPv4 only; leave IPv6 out")
        proxy = self.proxies.http or self.proxies.https
        if proxy is None:
            raise ValueError(
                "use-aproxy: needs a proxy to forward to; "
                "for example `http-proxy: http://proxy.example.com:3128`"
            )
        if fault := aproxy.fault_of(
            proxy, self.aproxy_redirect_ports, self.aproxy_exclude_addresses
        ):
            raise ValueError(f"use-aproxy: {fault}")
        return self

    @model_validator(mode="after")
    def _image_is_built_or_prepared(self) -> "Config":
        of_builds = {"base_image", "image_extra_packages", "image_script"}
        given = sorted(kebab(key) for key in of_builds & self.model_fields_set)
        if self.lxd.image is not None and given:
            raise ValueError(
                f"lxd.image: names an image that is prepared already, so nothing is built, and "
                f"{' and '.join(given)} would have no effect; leave out one or the other"
            )
        return self

    @model_validator(mode="after")
    def _policy_fits(self) -> "Config":
        if self.policy.is_here and self.policy.port == self.signals.port:
            raise ValueError(
                f"policy.port: {self.policy.port} is signals.port too; for example `port: 8643`"
            )
        given = self.policy.token_lifetime
        if given is not None and given <= self.limits.idle:
            raise ValueError(
                "policy.token-lifetime: must be longer than limits.idle, as a runner that has "
                "waited so long still needs its token; for example `token-lifetime: 2d`"
            )
        return self

    @model_validator(mode="after")
    def _page_is_not_for_guests(self) -> "Config":
        address = self.metrics.address
        if address == self.signals.address and not address.is_loopback:
            raise ValueError(
                f"metrics.address: guests report to {address}, as signals.address says, and the "
                "page is not for them; for example `address: 127.0.0.1`"
            )
        return self

    @model_validator(mode="after")
    def _metric_log_is_no_other_file(self) -> "Config":
        path = self.metric_log.path
        if path is None:
            return self
        given = Path(os.path.normpath(path))
        of_others = {os.path.normpath(other): key for key, other in _paths_in(self)}
        fault = ""
        if given.is_relative_to(os.path.normpath(self.state_directory)):
            fault = f"{path} is in state-directory, among the daemon's own files"
        elif key := of_others.get(str(given)):
            fault = f"{path} is {key} too"
        if fault:
            raise ValueError(f"metric-log.path: {fault}; for example `path: {_METRIC_LOG_EXAMPLE}`")
        return self

    @property
    def token_lifetime(self) -> timedelta:
        """How long a runner's token for the policy service is good."""
        return self.policy.token_lifetime or 2 * self.limits.idle

    @property
    def proxies(self) -> Proxies:
        """What HTTP goes through."""
        return Proxies(_proxy(self.http_proxy), _proxy(self.https_proxy), self.no_proxy)

    def needs_restart(self, other: "Config") -> tuple[str, ...]:
        """Name the keys that differ in `other` and that a running daemon can't change."""
        lxd = ("lxd.socket", "lxd.project", "lxd.network", "lxd.timeout", "lxd.creations_at_once")
        ours = ("state_directory", "runner_storage", "firewall")
        policy = ("policy.mode", "policy.port", "policy.user", "policy.url")
        fixed = ("name", "signals", "control", "metrics", "metric_log", *policy, *ours, *lxd)
        return tuple(kebab(key) for key in fixed if _get(self, key) != _get(other, key))


def _proxy(address: SecretStr | None) -> Proxy | None:
    return Proxy(address.get_secret_value()) if address else None


def _get(config: Any, dotted: str) -> Any:
    for part in dotted.split("."):
        config = getattr(config, part)
    return config


def _paths_in(section: BaseModel, within: str = "") -> Iterator[tuple[str, Path]]:
    """Give the paths that are set, but the metric log's own, each with its key."""
    for name, value in section:
        key = f"{within}{kebab(name)}"
        if isinstance(value, MetricLogConfig):
            continue
        if isinstance(value, BaseModel):
            yield from _paths_in(value, f"{key}.")
        elif isinstance(value, Path):
            yield key, value
