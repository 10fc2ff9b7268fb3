"""Guests that reach an internet of the test's own through a real HTTP proxy, and around it."""

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest
from cloud_image import CURL
from real_proxy import LOGIN, PASSWORD, Tinyproxy

from sandbox.lxd_daemon import free_subnet
from supervisor.guest.aproxy import Aproxy
from supervisor.guest.network import GuestNetwork, SshDebug
from supervisor.web.proxies import Proxies, Proxy

Guests = Any
Inbox = Any
READY = {"signal": "ready"}
FINISHED = {"signal": "finished", "exit-code": "0"}
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
    threading.Thread(target=server.serve_forever, args=(0.02,)).start()
print("listens", flush=True)
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
    with ExitStack() as stack:
        run("ip", "netns", "add", name)
        stack.callback(run, "ip", "netns", "delete", name)  # its link goes with it
        run("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
        with free_subnet() as free:
            subnet = IPv4Network(free, strict=False)
            found = Internet(subnet[1], subnet[2], subnet[3])
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


@pytest.fixture
def proxy(inbox: Inbox, tmp_path: Path) -> Iterator[Tinyproxy]:
    with Tinyproxy(tmp_path, host=inbox.server_address[0]) as running:
        yield running


@pytest.fixture
def proxy_with_login(inbox: Inbox, tmp_path: Path) -> Iterator[Tinyproxy]:
    with Tinyproxy(tmp_path, login=True, host=inbox.server_address[0]) as running:
        yield running


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
    guests: Guests, inbox: Inbox, cloud_image: str, internet: Internet, proxy_with_login: Tinyproxy
) -> None:
    inbox.secrets += [PASSWORD, LOGIN]
    url = proxy_with_login.url(LOGIN)
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
    asked = proxy_with_login.asked()
    assert f"GET http://{internet.one}/" in asked
    assert [line for line in asked if str(internet.other) in line] == []
    assert inbox.leaks == []


@pytest.mark.timeout(420)
def test_what_a_job_of_a_stock_system_sends_is_redirected_to_aproxy(
    guests: Guests, inbox: Inbox, cloud_image: str, internet: Internet, proxy: Tinyproxy
) -> None:
    # The port that guests report to is redirected too: the host's own address is not.
    ports = (80, 443, inbox.server_port)
    aproxy = Aproxy(Proxy(proxy.url()), ports, (IPv4Network(internet.other),))
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
    assert proxy.asked() == [f"CONNECT {internet.one}:{port}" for port in (80, 443)]


def test_a_tiny_guest_and_its_job_go_through_the_proxy(
    guests: Guests, internet: Internet, proxy: Tinyproxy
) -> None:
    url = proxy.url()
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
    assert len(proxy.asked()) == 2  # for the application, and by the job


def test_a_tiny_guest_that_can_not_have_aproxy_fails(guests: Guests) -> None:
    aproxy = Aproxy(Proxy("http://10.0.0.9:3128"), (80, 443), ())
    said = guests.run("exit 0", network=GuestNetwork(aproxy=aproxy))
    assert said == [
        {"signal": "failed", "reason": "nft is missing, which redirects what is sent to aproxy"}
    ]
