"""What a guest is told of the network, and in which files: pure.

The values are those that the configuration accepts: none holds a blank, a quote, a backslash, `$`,
`#` or a line's end, so that each file can hold them as they are. Only to systemd a percent sign
means something: there it is doubled.
"""

import json
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from ipaddress import IPv4Address
from typing import Literal

from supervisor.guest.aproxy import Aproxy
from supervisor.web.proxies import Proxies, Proxy

_LOCAL = ("localhost", "127.0.0.1", "::1")
_WILD = set("*/:[]_")
_END = "END_OF_GUEST_FILE"


@dataclass(frozen=True)
class SshDebug:
    """A tmate server over which a job may let its author in.

    Attributes:
        host: Its name or its address.
        port: Its TCP port.
        rsa_fingerprint: Its RSA key's, as `ssh-keygen -l` prints it.
        ed25519_fingerprint: Likewise.
    """

    host: str
    port: int
    rsa_fingerprint: str
    ed25519_fingerprint: str


@dataclass(frozen=True, kw_only=True)
class GuestNetwork:
    """All that guests are told of the network.

    Attributes:
        proxies: What they know to ask; none where aproxy does so in their stead.
        aproxy: What their traffic is redirected to.
        dockerhub_mirror: A mirror of Docker Hub; empty for none.
        ssh_debug: The servers, each runner is told of one of them.
    """

    proxies: Proxies = field(default_factory=Proxies)
    aproxy: Aproxy | None = None
    dockerhub_mirror: str = ""
    ssh_debug: tuple[SshDebug, ...] = ()

    def made_from(self) -> str:
        """Return a text that is equal if, and only if, guests are told the same. Secret."""
        return json.dumps(asdict(self), default=str, sort_keys=True)


@dataclass(frozen=True)
class GuestFile:
    """A file that a guest gets.

    Attributes:
        path: Absolute; or `~/...`, in the home of the application's user.
        content: Ends with a line's end.
        how: Whether it stands alone, is added to the end of the image's, or put into its JSON.
        mode: Who may read it.
        needs: The file is left out where this directory is missing.
    """

    path: str
    content: str = field(repr=False)
    how: Literal["replace", "add", "merge"] = "replace"
    mode: Literal["600", "644"] = "644"
    needs: str = ""


def proxy_environment(proxies: Proxies) -> dict[str, str]:
    """Give the variables that name the proxies, in both cases; none if there is no proxy.

    A guest's own addresses are always excepted: at a proxy they would be the proxy's.
    """
    if not proxies:
        return {}
    values = {
        "http_proxy": _url(proxies.http),
        "https_proxy": _url(proxies.https),
        "no_proxy": ",".join(_exceptions(proxies)),
    }
    given = {name: value for name, value in values.items() if value}
    return {**given, **{name.upper(): value for name, value in given.items()}}


def runner_environment(network: GuestNetwork, runner_name: str) -> dict[str, str]:
    """Give what the application, and so each job, has in its environment."""
    found = proxy_environment(network.proxies)
    if network.dockerhub_mirror:
        found["DOCKERHUB_MIRROR"] = network.dockerhub_mirror
        found["CONTAINER_REGISTRY_URL"] = network.dockerhub_mirror
    if network.ssh_debug:
        server = ssh_debug_of(network.ssh_debug, runner_name)
        found["TMATE_SERVER_HOST"] = server.host
        found["TMATE_SERVER_PORT"] = str(server.port)
        found["TMATE_SERVER_RSA_FINGERPRINT"] = server.rsa_fingerprint
        found["TMATE_SERVER_ED25519_FINGERPRINT"] = server.ed25519_fingerprint
    return found


def ssh_debug_of(servers: tuple[SshDebug, ...], runner_name: str) -> SshDebug:
    """Choose a runner's server: always the same for its name, and as many runners for each."""
    number = int.from_bytes(sha256(runner_name.encode()).digest()[:8], "big")
    return servers[number % len(servers)]


def files_of(network: GuestNetwork) -> tuple[GuestFile, ...]:
    """Give the files, besides the application's own `.env`."""
    proxies = network.proxies
    environment = proxy_environment(proxies)
    found = []
    if environment:
        client = _client_configuration(proxies)
        found = [
            GuestFile("/etc/environment", lines(environment), "add"),
            GuestFile(
                "/etc/apt/apt.conf.d/90github-runner-proxies",
                _apt_configuration(proxies),
                needs="/etc/apt/apt.conf.d",
            ),
            GuestFile(
                "/etc/systemd/system/docker.service.d/90-github-runner-proxies.conf",
                _drop_in(environment),
                mode="600",
                needs="/etc/systemd/system",
            ),
            GuestFile("/root/.docker/config.json", client, "merge", "600"),
            GuestFile("~/.docker/config.json", client, "merge", "600"),
        ]
    if network.dockerhub_mirror:
        daemon = {"registry-mirrors": [network.dockerhub_mirror]}
        found.append(GuestFile("/etc/docker/daemon.json", _document(daemon), "merge"))
    return tuple(found)


def snap_configuration(network: GuestNetwork) -> dict[str, str]:
    """Give the keys of snapd's `system`; snapd reads no environment of anybody else's.

    aproxy itself comes through snapd, before it redirects anything.
    """
    proxies = network.proxies
    if network.aproxy:
        proxies = Proxies(network.aproxy.proxy, network.aproxy.proxy)
    if not proxies:
        return {}
    values = {
        "proxy.http": _url(proxies.http),
        "proxy.https": _url(proxies.https),
        "proxy.no-proxy": ",".join(_exceptions(proxies)),
    }
    return {key: value for key, value in values.items() if value}


def assignments(network: GuestNetwork) -> dict[str, str]:
    """Give the shell variables of the guest's script: the proxies' are for its own programs."""
    found = proxy_environment(network.proxies)
    if network.aproxy:
        found["APROXY_PROXY"] = f"{network.aproxy.proxy.host}:{network.aproxy.proxy.port}"
    return found


def script(network: GuestNetwork, runner_name: str, host: IPv4Address | None) -> str:
    """Return the functions that `network.sh` and `guest.sh` call.

    Args:
        network: What the guest is told.
        runner_name: The runner's.
        host: The address that the guest reports to, which is never redirected.
    """
    exported = " ".join(proxy_environment(network.proxies))
    direct = () if host is None else (host,)
    rules = network.aproxy.ruleset(direct) if network.aproxy else ""
    snap = snap_configuration(network)
    files = [line for file in files_of(network) for line in _written(file)]
    return "".join(
        [
            f"export {exported}\n" if exported else "",
            _function("write_network_files", files),
            _printing("print_runner_environment", lines(runner_environment(network, runner_name))),
            _printing("print_snap_configuration", _document(snap) if snap else ""),
            _printing("print_aproxy_rules", rules),
        ]
    )


def lines(environment: Mapping[str, str]) -> str:
    """Write variables as `/etc/environment` and the application's `.env` have them."""
    return "".join(f"{name}={value}\n" for name, value in environment.items())


def _url(proxy: Proxy | None) -> str:
    return proxy.url if proxy else ""


def _exceptions(proxies: Proxies) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*proxies.exceptions, *_LOCAL)))


def _apt_configuration(proxies: Proxies) -> str:
    # Without a proxy of its own for https, apt takes that for http; a program that reads the
    # environment does not.
    given = {"http": _url(proxies.http), "https": _url(proxies.https)}
    found = []
    for scheme, url in given.items():
        found.append(f'Acquire::{scheme}::Proxy "{url or "DIRECT"}";\n')
        if url:
            # apt knows single hosts only: for the rest, it reads the environment's no_proxy.
            hosts = (entry for entry in _exceptions(proxies) if _is_one_host(entry))
            found += [f'Acquire::{scheme}::Proxy::{host} "DIRECT";\n' for host in hosts]
    return "".join(found)


def _is_one_host(exception: str) -> bool:
    return not exception.startswith(".") and not _WILD & set(exception)


def _drop_in(environment: Mapping[str, str]) -> str:
    settings = (f'Environment="{name}={value}"\n' for name, value in environment.items())
    return "[Service]\n" + "".join(settings).replace("%", "%%")


def _client_configuration(proxies: Proxies) -> str:
    values = {
        "httpProxy": _url(proxies.http),
        "httpsProxy": _url(proxies.https),
        "noProxy": ",".join(_exceptions(proxies)),
    }
    given = {key: value for key, value in values.items() if value}
    return _document({"proxies": {"default": given}})


def _document(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"


def _written(file: GuestFile) -> Iterable[str]:
    home = file.path.startswith("~/")
    path = f'"$home"{file.path[1:]} "$uid:$gid"' if home else file.path
    when = f"[ ! -d {shlex.quote(file.needs)} ] || " if file.needs else ""
    yield f"{when}guest_file {file.how} {file.mode} {path} <<'{_END}'\n{file.content}{_END}\n"


def _function(name: str, body: Iterable[str]) -> str:
    return f"{name}() {{\n{''.join(body)}:\n}}\n"


def _printing(name: str, text: str) -> str:
    return _function(name, [f"cat <<'{_END}'\n{text}{_END}\n"] if text else [])
