"""Guests that reach an internet of the test's own through a real HTTP proxy, and around it."""

import json
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest
from cloud_image import CURL

from sandbox.lxd_daemon import free_subnet
from supervisor.aproxy import Aproxy
from supervisor.guest_network import GuestNetwork, SshDebug
from supervisor.proxies import Proxies, Proxy

Guests = Any
Inbox = Any
READY = {"signal": "ready"}
FINISHED = {"signal": "finished", "exit-code": "0"}
PASSWORD, AS_WRITTEN = "pa_s.w-ord", "pa%5Fs%2Ew-ord"
MIRROR = "https://mirror.example.com:5000"
SERVER = SshDebug("10.5.0.7", 10022, "SHA256:" + "r" * 43, "SHA256:" + "e" * 43)

# Says to everybody who it is that asks.
INTERNET = """
import http.server, sys, threading
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.client_address[0].encode())
    def log_message(self, *_):
        pass
for port in (80, 443):
    server = http.server.ThreadingHTTPServer(("", port), Handler)
    threading.Thread(target=server.serve_forever).start()
print("listens", flush=True)
"""
TINYPROXY = """
User root
Port {port}
Listen {address}
Timeout 30
MaxClients 20
LogLevel Connect
LogFile "{log}"
{more}
"""


@dataclass(frozen=True)
class Internet:
    """Two addresses behind a link of this host's, which has another one."""

    host: IPv4Address
    one: IPv4Address
    other: IPv4Address


@pytest.fixture(scope="module")
def internet() -> Iterator[Internet]:
    name = f"inet-{secrets.token_hex(4)}"
    subnet = IPv4Network(free_subnet(), strict=False)
    found = Internet(subnet[1], subnet[2], subnet[3])
    with ExitStack() as stack:
        run("ip", "netns", "add", name)
        stack.callback(run, "ip", "netns", "delete", name)  # its link goes with it
        run("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
        run("ip", "addr", "add", f"{found.host}/24", "dev", name)
        run("ip", "link", "set", name, "up")
        for address in (found.one, found.other):
            run("ip", "-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
        run("ip", "-n", name, "link", "set", "eth0", "up")
        run("ip", "-n", name, "route", "add", "default", "via", str(found.host))
        server = subprocess.Popen(
            ["ip", "netns", "exec", name, sys.executable, "-c", INTERNET],
            stdout=subprocess.PIPE,
            text=True,
        )
        stack.callback(server.wait)
        stack.callback(server.kill)
        assert server.stdout is not None
        assert server.stdout.readline() == "listens\n"
        yield found


@dataclass(frozen=True)
class RunningProxy:
    """A tinyproxy at the guests' bridge."""

    host: str
    port: int
    log: Path

    def asked_for(self) -> list[str]:
        """Return the lines of its log that tell what it was asked for."""
        return [line for line in self.log.read_text().splitlines() if "Request (file" in line]


StartProxy = Callable[..., RunningProxy]


@pytest.fixture
def start_proxy(inbox: Inbox, tmp_path: Path) -> Iterator[StartProxy]:
    program = shutil.which("tinyproxy")
    if program is None:
        pytest.fail("tinyproxy is not installed")
    with ExitStack() as stack:

        def start(more: str = "") -> RunningProxy:
            host = inbox.server_address[0]
            with socket.create_server((host, 0)) as unused:
                port = unused.getsockname()[1]
            log, configuration = tmp_path / "proxy.log", tmp_path / "proxy.conf"
            configuration.write_text(TINYPROXY.format(port=port, address=host, log=log, more=more))
            process = subprocess.Popen(
                [program, "-d", "-c", configuration], stdout=subprocess.DEVNULL
            )
            stack.callback(process.wait)
            stack.callback(process.terminate)
            deadline = time.monotonic() + 10
            while socket.socket().connect_ex((host, port)):
                assert time.monotonic() < deadline, "tinyproxy does not come up"
                time.sleep(0.02)
            return RunningProxy(host, port, log)

        yield start


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"


def tell(inbox: Inbox, *expressions: str) -> str:
    """Return a run.sh that has the application's environment and tells what each gives."""
    prints = "; ".join(f"printf '%s\\0' \"{each}\"" for each in expressions)
    post = f"{CURL} -sS --noproxy '*' --data-binary @- {inbox.base}/told"
    return f"set -a; . ./.env; {{ {prints}; }} | {post}"


def told(inbox: Inbox) -> list[str]:
    """Return what a job of a guest has told that has come to its end."""
    assert inbox.signals == [READY, FINISHED]
    (everything,) = inbox.told
    *values, _ = everything.split("\0")
    return values


def fetch(address: object, port: int = 80, options: str = "") -> str:
    return f"$({CURL} -sS -m 10 {options} http://{address}:{port}/ 2>&1)"


@pytest.mark.timeout(420)
def test_a_job_of_a_stock_system_goes_through_the_proxy_that_it_is_told_of(
    guests: Guests, inbox: Inbox, cloud_image: str, internet: Internet, start_proxy: StartProxy
) -> None:
    proxy = start_proxy(f"BasicAuth user {PASSWORD}")
    inbox.secrets += [PASSWORD, AS_WRITTEN]
    url = f"http://user:{AS_WRITTEN}@{proxy.host}:{proxy.port}"
    exceptions = (str(internet.other), ".example.com")
    network = GuestNetwork(
        proxies=Proxies(Proxy(url), Proxy(url), exceptions),
        dockerhub_mirror=MIRROR,
        ssh_debug=(SERVER,),
    )
    guests.run(
        tell(
            inbox,
            fetch(internet.one),
            fetch(internet.one, 443),
            fetch(internet.other),
            fetch(internet.one, options="--noproxy '*'"),
            "$(apt-config shell P Acquire::http::Proxy)",
            f"$(apt-config shell P Acquire::https::Proxy::{internet.other})",
            "$(grep ^http_proxy /etc/environment)",
            "$(stat -c %a ~/.docker/config.json)",
            "$(tr -d ' \\n' <~/.docker/config.json)",
            "$(tr -d ' \\n' </etc/docker/daemon.json)",
            "$(grep ^http_proxy /run/docker-environment)",
            "$(wc -l </run/docker-starts)",
            "$(cat /etc/systemd/system/docker.service.d/* 2>&1 | grep -o 'Permission denied')",
            "$DOCKERHUB_MIRROR $CONTAINER_REGISTRY_URL",
            "$TMATE_SERVER_HOST $TMATE_SERVER_PORT",
            "$TMATE_SERVER_RSA_FINGERPRINT $TMATE_SERVER_ED25519_FINGERPRINT",
        ),
        image=cloud_image,
        network=network,
        limit_s=40,
    )
    fetched, files = told(inbox)[:4], told(inbox)[4:]
    assert fetched[:2] == [str(internet.host)] * 2
    assert fetched[2] == fetched[3]  # the guest's own address, whatever that is
    assert IPv4Address(fetched[2]) != internet.host
    client = {
        "httpProxy": url,
        "httpsProxy": url,
        "noProxy": f"{internet.other},.example.com,localhost,127.0.0.1,::1",
    }
    assert json.loads(files.pop(4)) == {"proxies": {"default": client}}
    assert json.loads(files.pop(4)) == {"log-level": "warn", "registry-mirrors": [MIRROR]}
    assert files == [
        f"P='{url}'",
        "P='DIRECT'",
        f"http_proxy={url}",
        "600",
        f"http_proxy={url}",
        "2",  # Docker's starts
        "Permission denied",
        f"{MIRROR} {MIRROR}",
        f"{SERVER.host} {SERVER.port}",
        f"{SERVER.rsa_fingerprint} {SERVER.ed25519_fingerprint}",
    ]
    asked = [line.rpartition("): ")[2] for line in proxy.asked_for()]
    assert f"GET http://{internet.one}/ HTTP/1.1" in asked
    assert [line for line in asked if str(internet.other) in line] == []
    assert inbox.leaks == []


@pytest.mark.timeout(420)
def test_what_a_job_of_a_stock_system_sends_is_redirected_to_aproxy(
    guests: Guests, inbox: Inbox, cloud_image: str, internet: Internet, start_proxy: StartProxy
) -> None:
    proxy = start_proxy()
    # The port that guests report to is redirected too: the host's own address is not.
    ports = (80, 443, inbox.server_port)
    aproxy = Aproxy(
        Proxy(f"http://{proxy.host}:{proxy.port}"), ports, (IPv4Network(internet.other),)
    )
    guests.run(
        tell(
            inbox,
            fetch(internet.one),
            fetch(internet.one, 443),
            fetch(internet.other),
            "$(env | grep -ci _proxy=)",
            "$(grep -ci proxy /etc/environment)",
            "$(apt-config dump | grep -c Proxy.*http:)",
        ),
        image=cloud_image,
        network=GuestNetwork(aproxy=aproxy),
        limit_s=40,
    )
    *fetched, variables, lines, settings = told(inbox)
    assert fetched[:2] == [str(internet.host)] * 2
    assert IPv4Address(fetched[2]) != internet.host
    assert (variables, lines, settings) == ("0", "0", "0")
    asked = [line.split(": ")[-1] for line in proxy.asked_for()]
    assert asked == [f"CONNECT {internet.one}:{port} HTTP/1.0" for port in (80, 443)]


def test_a_tiny_guest_and_its_job_go_through_the_proxy(
    guests: Guests, internet: Internet, start_proxy: StartProxy
) -> None:
    proxy = start_proxy()
    url = f"http://{proxy.host}:{proxy.port}"
    script = f"""
        . ./.env
        GITHUB_WORKFLOW="$(wget -q -O - http://{internet.one}/) $HTTP_PROXY"
        export GITHUB_WORKFLOW
        sh "$ACTIONS_RUNNER_HOOK_JOB_STARTED"
    """
    said = guests.run(
        script, network=GuestNetwork(proxies=Proxies(Proxy(url)), dockerhub_mirror=MIRROR)
    )
    started = {"signal": "job-started", "workflow": f"{internet.host} {url}"}
    assert said == [READY, started, FINISHED]
    assert len(proxy.asked_for()) == 2  # for the application, and by the job


def test_a_tiny_guest_that_can_not_have_aproxy_fails(guests: Guests) -> None:
    aproxy = Aproxy(Proxy("http://10.0.0.9:3128"), (80, 443), ())
    said = guests.run("exit 0", network=GuestNetwork(aproxy=aproxy))
    assert said == [
        {"signal": "failed", "reason": "nft is missing, which redirects what is sent to aproxy"}
    ]
