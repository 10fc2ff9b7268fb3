"""The kinds of values that an operator sets, each with what it must be."""

import os
import re
from datetime import timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from supervisor.firewall import networks
from supervisor.github.credential import ONE_PLAIN_LINE, is_token
from supervisor.github.scope import GitHubPlace, Scope, is_near
from supervisor.images.base import BaseImage
from supervisor.policy import document
from supervisor.policy import package as policy_package
from supervisor.runners.naming import MAX_INSTALLATION_LENGTH
from supervisor.text import sizes
from supervisor.web import proxies

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SHORTEST_S, _LONGEST_S = 0.001, 365 * 86400
_SHORTEST_BUILD_INTERVAL = timedelta(minutes=10)
_MOST_LABELS = 97
_LONGEST_GROUP = 64
_SMALLEST_LOG, _LARGEST_LOG = 16 << 10, 16 << 20  # the larger is held in memory, and sent
_SMALLEST_JOURNAL = 1 << 20
_SMALLEST_GUEST = 64 << 20  # in memory, and on its disk: a container with Alpine and a runner
_LONGEST_SOCKET_PATH = 107  # bytes, by sockaddr_un of unix(7)
_JUJU_STORAGE = Path("/storage/juju")
_LAST_PORT = 65535
_HOST_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST_NAME = rf"{_HOST_LABEL}(?:\.{_HOST_LABEL})*"
_LONGEST_HOST_NAME = 253
_COLLECTOR = re.compile(
    r"https?://(?:[A-Za-z0-9._~%+-]+(?::[A-Za-z0-9._~%+-]*)?@)?[A-Za-z0-9._~:/\[\]-]+"
)
_LONGEST_PATH = 4095  # bytes, by PATH_MAX of limits.h

CREDENTIALS_DIRECTORY = "$CREDENTIALS_DIRECTORY"
"""What the path of a secret may begin with: where systemd has put a service's credentials."""


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


def _check_build_interval(value: timedelta) -> timedelta:
    if value < _SHORTEST_BUILD_INTERVAL:
        raise ValueError("must be at least 10m: each time an instance is made to ask apt")
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


def _check_guest_size(value: str) -> str:
    if sizes.parse(value) < _SMALLEST_GUEST:
        raise ValueError("must be at least 64MiB: no guest starts with less")
    return value


def _check_log_size(value: str) -> str:
    if not _SMALLEST_LOG <= sizes.parse(value) <= _LARGEST_LOG:
        raise ValueError("must be at least 16KiB and at most 16MiB")
    return value


def _check_journal_size(value: str) -> str:
    if sizes.parse(value) < _SMALLEST_JOURNAL:
        raise ValueError("must be at least 1MiB")
    return value


def _check_share(value: Any) -> Any:
    if re.fullmatch(r"[1-9][0-9]{0,5}|([1-9][0-9]?|100)%", str(value)) and value is not True:
        return str(value)
    raise ValueError("must be a number of runners from 1 on, or a share from 1% to 100%")


def share_of(count: int, share: str) -> int:
    """Say how many of `count` a share is: `3` is three, `25%` a quarter, rounded down, never 0."""
    if share.endswith("%"):
        return max(1, count * int(share[:-1]) // 100)
    return int(share)


def _split_words(value: Any) -> Any:
    if isinstance(value, str):
        return [word.strip() for word in value.split(",") if word.strip()]
    return value


def _check_labels(value: tuple[str, ...]) -> tuple[str, ...]:
    if len(value) > _MOST_LABELS:
        raise ValueError(f"must be at most {_MOST_LABELS}: GitHub takes 100, three are given")
    return value


def _check_label(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,256}", value):
        raise ValueError("must be letters, digits, dots, dashes and underscores")
    return value


def _check_group(value: str) -> str:
    fits = 1 <= len(value) <= _LONGEST_GROUP and value.isprintable() and value == value.strip()
    if not fits:
        raise ValueError(
            f"must be a runner group's name: 1 to {_LONGEST_GROUP} printable characters, "
            "without blanks around them"
        )
    return value


def _app_id(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _check_app_id(value: str) -> str:
    if not re.fullmatch(r"[1-9][0-9]{0,19}|[A-Za-z][A-Za-z0-9._-]{0,63}", value):
        raise ValueError("must be the App's number, or its client ID such as Iv23li...")
    return value


def _check_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        is_address = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        is_address = False
    else:
        is_address = is_address and not set(value) & set("@?#\\")
    if not is_address or not re.fullmatch(r"[!-~]+", value):
        raise ValueError("must be an http or https address without credentials and parameters")
    return GitHubPlace.parse(value).url


def _check_path(value: str) -> str:
    Scope.parse(value)
    return value


def _check_lxd_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", value):
        raise ValueError("must be a name of LXD's: letters, digits, dots, dashes and underscores")
    return value


def _check_token(value: SecretStr) -> SecretStr:
    if not is_token(value.get_secret_value()):
        raise ValueError(ONE_PLAIN_LINE)
    return value


def _check_host_address(value: IPv4Address) -> IPv4Address:
    # 0.0.0.0 would listen everywhere, also where no guest is, and is nowhere to report to.
    if value.is_unspecified or value.is_multicast or value.is_reserved:
        raise ValueError(
            "must be one address of this host that guests reach, not one of all or of many"
        )
    return value


def _parse_page_address(value: Any) -> IPv4Address | IPv6Address:
    """Take an address of either family, of IPv6 also in the brackets that it has before a port."""
    text = str(value)
    try:
        address = ip_address(text[1:-1] if text[:1] + text[-1:] == "[]" else text)
    except ValueError:
        raise ValueError("must be an IPv4 or IPv6 address of this host, without a port") from None
    # ::1 counts as reserved, as does IPv4 that is spelt as IPv6.
    is_reserved = address.is_reserved and not address.is_loopback
    # Behind 0.0.0.0 is the guests' bridge, too: the firewall alone would keep the page from them.
    if address.is_unspecified or address.is_multicast or is_reserved:
        raise ValueError("must be one address of this host, not one of all or of many")
    if isinstance(address, IPv6Address) and (address.is_link_local or address.scope_id):
        raise ValueError("must be no address of one link alone: the bridge has such ones, too")
    return address


def _check_socket(value: Path) -> Path:
    if not value.is_absolute() or len(os.fsencode(value)) > _LONGEST_SOCKET_PATH:
        raise ValueError(f"must be an absolute path of at most {_LONGEST_SOCKET_PATH} bytes")
    return value


def _check_file(value: Path) -> Path:
    # A secret pasted in here by mistake is no absolute path, and so never part of a later message.
    fits = value.is_absolute() and str(value).isprintable()
    if not fits or len(os.fsencode(value)) > _LONGEST_PATH:
        raise ValueError("must be the absolute path of a file")
    return value


def _check_secret_file(value: Path) -> Path:
    is_systemds = value.parts[:-1] == (CREDENTIALS_DIRECTORY,)
    # A credential's name, by systemd.exec(5); what is looked for elsewhere has its whole path.
    if is_systemds and re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,254}", value.name):
        return value
    return _check_file(value)


def _check_directory(value: Path) -> Path:
    fits = value.is_absolute() and str(value).isprintable()
    if not fits or len(os.fsencode(value)) > _LONGEST_PATH:
        raise ValueError("must be the absolute path of a directory")
    return value


def _check_runner_storage(value: str) -> str:
    if value in {"pool", "memory"}:
        return value
    try:
        return str(_check_directory(_JUJU_STORAGE if value == "juju-storage" else Path(value)))
    except ValueError as error:
        raise ValueError(
            "must be pool (that of lxd.pool), memory, juju-storage or a directory's absolute path"
        ) from error


def _parse_proxy(value: Any) -> Any:
    """Keep a proxy's address as a secret; an empty one is none."""
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise ValueError("must be http://HOST:PORT")  # noqa: TRY004 - pydantic takes no other
    return SecretStr(proxies.parse_proxy(value).url)


def _split_exceptions(value: Any) -> Any:
    if isinstance(value, tuple):
        return value
    return networks.parse_each(value, proxies.parse_exception)


def _parse_networks(value: Any) -> Any:
    return networks.parse_networks(value)


def _parse_destinations(value: Any) -> Any:
    return networks.parse_destinations(value)


def _parse_ports(value: Any) -> Any:
    if isinstance(value, str):
        value = [entry for entry in networks.split(value) if entry]
    fits = isinstance(value, (list, tuple)) and all(
        re.fullmatch(r"[1-9][0-9]{0,4}", str(port)) and int(port) <= _LAST_PORT for port in value
    )
    if not fits or not value:
        raise ValueError(f"must be one or more ports from 1 to {_LAST_PORT}")
    return tuple(sorted({int(port) for port in value}))


def _check_mirror(value: str) -> str:
    try:
        parts = urlsplit(value)
        fits = parts.scheme == "https" and parts.hostname and parts.port != 0
    except ValueError:
        fits = False
    if not fits or not re.fullmatch(r"https://[A-Za-z0-9._~:/\[\]-]+", value):
        raise ValueError("must be an https address without credentials and parameters")
    return value.rstrip("/")


def _check_collector(value: SecretStr) -> SecretStr:
    given = value.get_secret_value().strip()
    try:
        parts = urlsplit(given)
        fits = parts.hostname and parts.port != 0
    except ValueError:
        fits = False
    if not fits or not _COLLECTOR.fullmatch(given):
        # It is not quoted: it may hold a password.
        raise ValueError(
            "must be the http or https address of a collector that takes OTLP over HTTP, not "
            "gRPC, with USER:PASSWORD@ before the host if it wants them"
        )
    return SecretStr(given)


def _check_base_image(value: str) -> str:
    BaseImage.parse(value)
    return value


def _base_image(value: Any) -> Any:
    return str(value) if isinstance(value, float) else value  # what YAML makes of 24.04


def _check_packages(value: tuple[str, ...]) -> tuple[str, ...]:
    for package in value:
        # https://www.debian.org/doc/debian-policy/ch-controlfields.html#s-f-source
        if not re.fullmatch(r"[a-z0-9][a-z0-9+.-]{1,127}", package):
            raise ValueError("must be names of Debian packages, without versions")
    return value


def _yaml_off(value: Any) -> Any:
    return "off" if value is False else value  # what YAML makes of the bare word


def _check_document(value: Any) -> Any:
    """Take a policy document, or the absolute path of the file that holds one."""
    if value is None:
        return None
    if isinstance(value, str):
        return _check_file(Path(value))
    document.parse(value)
    return value


def _check_policy_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        fits = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        fits = False
    if not fits or not re.fullmatch(r"https?://[A-Za-z0-9._~:/\[\]-]+", value):
        raise ValueError("must be an http or https address without credentials and parameters")
    if parts.scheme == "http" and not is_near(parts.hostname or ""):
        raise ValueError("must begin with https: who is on the way could answer in its stead")
    return value.rstrip("/")


def _check_package(value: SecretStr) -> SecretStr:
    return SecretStr(policy_package.check_requirement(value.get_secret_value().strip()))


def _check_package_index(value: SecretStr) -> SecretStr:
    return SecretStr(policy_package.check_index(value.get_secret_value().strip()))


def _check_user(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}", value) or value == "root":
        raise ValueError("must be the name of a user of this host that is not root")
    return value


def _check_host(value: str) -> str:
    try:
        is_right = not getattr(ip_address(value), "scope_id", None)
    except ValueError:
        # Programs read a name that ends in a number, such as 0 or 10.5, as an address.
        is_number = re.fullmatch(r"[0-9]+|0[Xx][0-9A-Fa-f]*", value.rpartition(".")[2])
        is_name = re.fullmatch(_HOST_NAME, value) and len(value) <= _LONGEST_HOST_NAME
        is_right = bool(is_name) and not is_number
    if not is_right:
        raise ValueError("must be a host's name or its address")
    return value


def _check_fingerprint(value: str) -> str:
    if not re.fullmatch(r"SHA256:[A-Za-z0-9+/]{43}=?", value):
        raise ValueError("must be a key's fingerprint as `ssh-keygen -l` prints it")
    return value


Whole = Annotated[int, Field(strict=True)]  # YAML's true is no number of runners
Name = Annotated[str, AfterValidator(_check_name)]
GitHubUrl = Annotated[str, AfterValidator(_check_url)]
ScopePath = Annotated[str, AfterValidator(_check_path)]
Duration = Annotated[timedelta, BeforeValidator(_parse_duration)]
BuildInterval = Annotated[
    timedelta, BeforeValidator(_parse_duration), AfterValidator(_check_build_interval)
]
Group = Annotated[str, AfterValidator(_check_group)]
AppId = Annotated[str, BeforeValidator(_app_id), AfterValidator(_check_app_id)]
Share = Annotated[str, BeforeValidator(_check_share)]
GuestSize = Annotated[str, AfterValidator(_check_guest_size)]
LogSize = Annotated[str, AfterValidator(_check_log_size)]
JournalSize = Annotated[str, AfterValidator(_check_journal_size)]
Label = Annotated[str, AfterValidator(_check_label)]
BaseImageName = Annotated[str, BeforeValidator(_base_image), AfterValidator(_check_base_image)]
Packages = Annotated[
    tuple[str, ...], BeforeValidator(_split_words), AfterValidator(_check_packages)
]
ScriptFile = Annotated[Path, AfterValidator(_check_file)]
File = Annotated[Path, AfterValidator(_check_file)]
Labels = Annotated[tuple[Label, ...], BeforeValidator(_split_words), AfterValidator(_check_labels)]
HostAddress = Annotated[IPv4Address, AfterValidator(_check_host_address)]
PageAddress = Annotated[IPv4Address | IPv6Address, BeforeValidator(_parse_page_address)]
Socket = Annotated[Path, AfterValidator(_check_socket)]
Directory = Annotated[Path, AfterValidator(_check_directory)]
RunnerStorage = Annotated[str, AfterValidator(_check_runner_storage)]
SecretFile = Annotated[Path, AfterValidator(_check_secret_file)]
LxdName = Annotated[str, AfterValidator(_check_lxd_name)]
Token = Annotated[SecretStr, AfterValidator(_check_token)]
ProxyAddress = Annotated[SecretStr | None, BeforeValidator(_parse_proxy)]
ProxyExceptions = Annotated[tuple[str, ...], BeforeValidator(_split_exceptions)]
Networks = Annotated[tuple[Any, ...], BeforeValidator(_parse_networks)]
Destinations = Annotated[tuple[Any, ...], BeforeValidator(_parse_destinations)]
PortSet = Annotated[tuple[int, ...], BeforeValidator(_parse_ports)]
MirrorUrl = Annotated[str, AfterValidator(_check_mirror)]
CollectorUrl = Annotated[SecretStr, AfterValidator(_check_collector)]
PolicyMode = Annotated[Literal["builtin", "package", "external", "off"], BeforeValidator(_yaml_off)]
POLICY_MODES: frozenset[str] = frozenset(get_args(get_args(PolicyMode)[0]))
PolicyDocument = Annotated[Any, BeforeValidator(_check_document)]
PolicyUrl = Annotated[str, AfterValidator(_check_policy_url)]
PackageRequirement = Annotated[SecretStr, AfterValidator(_check_package)]
PackageIndex = Annotated[SecretStr, AfterValidator(_check_package_index)]
PackageApp = Annotated[str, AfterValidator(policy_package.check_app)]
User = Annotated[str, AfterValidator(_check_user)]
Host = Annotated[str, AfterValidator(_check_host)]
Fingerprint = Annotated[str, AfterValidator(_check_fingerprint)]
