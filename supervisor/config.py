"""The configuration: typed, checked whole before any of it is used."""

import os
import re
import stat
from collections.abc import Mapping
from datetime import timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import IO, Annotated, Any, Literal
from urllib.parse import urlsplit

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from supervisor.lifecycle import Limits
from supervisor.naming import MAX_INSTALLATION_LENGTH

DEFAULT_PATH = Path("/etc/github-runner-supervisor/config.yaml")
DEFAULT_SOCKET = Path("/run/github-runner-supervisor/control.sock")

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SHORTEST_S, _LONGEST_S = 0.001, 365 * 86400
_LONGEST_SOCKET_PATH = 107  # bytes, by sockaddr_un of unix(7)


_OTHERS = 0o077
_LONGEST_TOKEN = 4096
_TOKEN_RULE = "must be one line of printable ASCII characters without blanks"  # noqa: S105


class ConfigError(Exception):
    """The configuration can't be used: one line a fault, with file, key, reason and example."""


def _parse_duration(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([smhd])", str(value).strip())
    if not match:
        raise ValueError("must be a number and a unit: s, m, h or d")
    seconds = float(match[1]) * _SECONDS[match[2]]
    # Compared before a timedelta is made of it, which has a limit of its own.
    if not _SHORTEST_S <= seconds <= _LONGEST_S:
        raise ValueError("must be at least 0.001s and at most 365d")
    return timedelta(seconds=seconds)


def _check_path(value: str) -> str:
    pattern = r"[A-Za-z0-9][A-Za-z0-9-]*(/(?!\.{1,2}$)[A-Za-z0-9._-]+)?"
    if not re.fullmatch(pattern, value):
        raise ValueError("must be an organisation or owner/repository")
    return value


def _check_name(value: str) -> str:
    fits = (
        re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", value) and len(value) <= MAX_INSTALLATION_LENGTH
    )
    if not fits:
        raise ValueError(
            "must be lower-case letters, digits and dashes, begin with a letter, "
            f"and have at most {MAX_INSTALLATION_LENGTH} characters"
        )
    return value


def _check_size(value: str) -> str:
    if not re.fullmatch(r"[1-9][0-9]*(KiB|MiB|GiB|TiB|PiB|EiB)", value):
        raise ValueError("must be a whole number and a unit: KiB, MiB, GiB, TiB, PiB or EiB")
    return value


def _split_labels(value: Any) -> Any:
    if isinstance(value, str):
        return [label.strip() for label in value.split(",") if label.strip()]
    return value


def _check_label(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,256}", value):
        raise ValueError("must be letters, digits, dots, dashes and underscores")
    return value


def _check_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        is_address = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        is_address = False
    else:
        is_address = is_address and not (parts.username or parts.query or parts.fragment)
    if not is_address or not re.fullmatch(r"[!-~]+", value):
        raise ValueError("must be an http or https address without credentials and parameters")
    return value.rstrip("/")


def _check_lxd_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", value):
        raise ValueError("must be a name of LXD's: letters, digits, dots, dashes and underscores")
    return value


def _check_token(value: SecretStr) -> SecretStr:
    if not _is_token(value.get_secret_value()):
        raise ValueError(_TOKEN_RULE)
    return value


def _is_token(value: str) -> bool:
    return re.fullmatch(r"[!-~]+", value) is not None


def _check_socket(value: Path) -> Path:
    if not value.is_absolute() or len(os.fsencode(value)) > _LONGEST_SOCKET_PATH:
        raise ValueError(f"must be an absolute path of at most {_LONGEST_SOCKET_PATH} bytes")
    return value


Duration = Annotated[timedelta, BeforeValidator(_parse_duration)]
Size = Annotated[str, AfterValidator(_check_size)]
Label = Annotated[str, AfterValidator(_check_label)]
Socket = Annotated[Path, AfterValidator(_check_socket)]
LxdName = Annotated[str, AfterValidator(_check_lxd_name)]
Token = Annotated[SecretStr, AfterValidator(_check_token)]


def _kebab(name: str) -> str:
    return name.replace("_", "-")


class _Section(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=_kebab,
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
    image: str = Field("github-runner", pattern=r"^[!-~]+$", examples=["github-runner"])
    instance_type: Literal["virtual-machine", "container"] = Field(
        "virtual-machine", examples=["virtual-machine"]
    )
    timeout: Duration = Field(timedelta(seconds=30), examples=["30s"])
    creations_at_once: int = Field(4, ge=1, le=64, examples=[4])


class ControlConfig(_Section):
    """The socket that `supervisor-cli` talks to."""

    socket: Socket = Field(DEFAULT_SOCKET, examples=[str(DEFAULT_SOCKET)])
    debug: bool = Field(default=False, examples=[False])


class SignalsConfig(_Section):
    """Where the guests report. The address is that of the LXD bridge, unless given."""

    address: IPv4Address | None = Field(None, examples=["10.0.100.1"])
    port: int = Field(8642, ge=1, le=65535, examples=[8642])


class LimitsConfig(_Section):
    """How long each stage of a runner may last."""

    requested: Duration = Field(Limits.requested, examples=["10m"])
    creating: Duration = Field(Limits.creating, examples=["10m"])
    booting: Duration = Field(Limits.booting, examples=["10m"])
    busy: Duration = Field(Limits.busy, examples=["5d"])
    retiring: Duration = Field(Limits.retiring, examples=["2m"])
    finished: Duration = Field(Limits.finished, examples=["2m"])

    def limits(self) -> Limits:
        """Give them as the lifecycle takes them."""
        return Limits(**{name: getattr(self, name) for name in type(self).model_fields})


class Config(_Section):
    """All that an operator sets."""

    name: Annotated[str, AfterValidator(_check_name)] = Field(examples=["runner-host-1"])
    path: Annotated[str, AfterValidator(_check_path)] = Field(examples=["my-organisation"])
    github_url: Annotated[str, AfterValidator(_check_url)] = Field(
        "https://api.github.com", examples=["https://api.github.com"]
    )
    token: Token | None = Field(None, examples=["ghp_..."])
    token_file: Path | None = Field(None, examples=["/etc/github-runner-supervisor/token"])
    virtual_machines: int = Field(1, ge=0, le=10_000, examples=[3])
    labels: Annotated[tuple[Label, ...], BeforeValidator(_split_labels)] = Field(
        (), examples=["large, gpu"]
    )
    group: str = Field("Default", pattern=r"^\S(.{0,62}\S)?$", examples=["Default"])
    vm_cpu: int = Field(2, ge=1, le=1024, examples=[2])
    vm_memory: Size = Field("7GiB", examples=["7GiB"])
    vm_disk: Size = Field("10GiB", examples=["10GiB"])
    reconcile_interval: Duration = Field(timedelta(minutes=10), examples=["10m"])
    limits: LimitsConfig = LimitsConfig()
    lxd: LxdConfig = LxdConfig()
    signals: SignalsConfig = SignalsConfig()
    control: ControlConfig = ControlConfig()

    @model_validator(mode="after")
    def _has_one_token(self) -> "Config":
        if (self.token is None) == (self.token_file is None):
            raise ValueError("give either token or token-file")
        return self

    def github_token(self) -> str:
        """Read the token; from `token-file` anew at each call, so that a changed one takes effect.

        Raises:
            ConfigError: the file can't be read, is open to others, or holds no token.
        """
        if self.token is not None:
            return self.token.get_secret_value()
        assert self.token_file is not None  # noqa: S101 - _has_one_token saw to it
        source = f"token-file: {self.token_file}"
        try:
            with self.token_file.open(encoding="ascii", errors="replace") as file:
                mode = _mode(file)
                token = file.read(_LONGEST_TOKEN).strip()
        except OSError as error:
            raise ConfigError(f"{source}: can't be read: {error.strerror}") from error
        if mode & _OTHERS:
            raise ConfigError(
                f"{source}: the file is open to others (mode {mode:04o}); "
                f"`chmod 600 {self.token_file}`"
            )
        if not _is_token(token):
            raise ConfigError(f"{source}: {_TOKEN_RULE if token else 'is empty'}")
        return token

    def needs_restart(self, other: "Config") -> tuple[str, ...]:
        """Name the keys that differ in `other` and that a running daemon can't change."""
        lxd = ("lxd.socket", "lxd.project", "lxd.network", "lxd.timeout", "lxd.creations_at_once")
        fixed = ("name", "path", "github_url", "signals", "control", *lxd)
        return tuple(_kebab(key) for key in fixed if _get(self, key) != _get(other, key))


def _mode(file: IO[str]) -> int:
    return stat.S_IMODE(os.fstat(file.fileno()).st_mode)


def _get(config: Any, dotted: str) -> Any:
    for part in dotted.split("."):
        config = getattr(config, part)
    return config


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML lets a later key silently win over an earlier one of the same name; we refuse it."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.MarkedYAMLError(
                    problem="a key must be a word", problem_mark=key_node.start_mark
                )
            if key in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key!r} stands twice", problem_mark=key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def load(path: Path) -> Config:
    """Load and check a configuration file.

    Raises:
        ConfigError: it can't be read or used; nothing of it is in force.
    """
    try:
        with path.open(encoding="utf-8") as file:
            mode = _mode(file)
            data = yaml.load(file, Loader=_UniqueKeyLoader)  # noqa: S506 - a SafeLoader
    except OSError as error:
        raise ConfigError(f"{path}: can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: {_describe_yaml(error)}") from error
    except (ValueError, RecursionError) as error:  # such as a date that no calendar has
        raise ConfigError(f"{path}: holds a value that YAML can't read") from error
    if not isinstance(data, Mapping):
        raise ConfigError(f"{path}: must hold keys and values, for example `path: my-organisation`")
    if "token" in data and mode & _OTHERS:
        raise ConfigError(
            f"{path}: token: the file is open to others (mode {mode:04o}); "
            f"`chmod 600 {path}`, or use token-file"
        )
    return parse(data, str(path))


def parse(data: Mapping[str, Any], source: str) -> Config:
    """Check a configuration; `source` names it in errors.

    Raises:
        ConfigError: it can't be used.
    """
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        lines = [_describe(fault, source) for fault in error.errors(include_input=False)]
        raise ConfigError("\n".join(lines)) from None  # the cause may quote a secret


def _describe_yaml(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    return "is not YAML"


def _describe(fault: Any, source: str) -> str:
    location = [
        str(part) for part in fault["loc"] if part not in {"function-after", "function-before"}
    ]
    key = ".".join(location)
    reason = fault["msg"].removeprefix("Value error, ").replace("Input should", "must")
    reason = reason[:1].lower() + reason[1:]
    if fault["type"] == "extra_forbidden":
        section = _section(location[:-1])
        known = ", ".join(sorted(_kebab(name) for name in section.model_fields)) if section else ""
        return f"{source}: {key}: unknown key; known here: {known}"
    if fault["type"] == "missing":
        reason = "is missing"
    example = _example(location)
    line = f"{source}: {key}: {reason}" if key else f"{source}: {reason}"
    return f"{line}; for example `{example}`" if example else line


def _section(location: list[str]) -> type[BaseModel] | None:
    section: type[BaseModel] = Config
    for key in location:
        field = section.model_fields.get(key.replace("-", "_"))
        inner = field.annotation if field else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return None
        section = inner
    return section


def _example(location: list[str]) -> str:
    for depth in range(len(location), 0, -1):
        section = _section(location[: depth - 1])
        field = section.model_fields.get(location[depth - 1].replace("-", "_")) if section else None
        if field and field.examples:
            return f"{location[depth - 1]}: {field.examples[0]}"
    return ""
