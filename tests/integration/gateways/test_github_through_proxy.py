"""GitHub through a real proxy: tinyproxy, and TLS with a CA of the test's own."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from real_proxy import LOGIN, NAME, PASSWORD, Tinyproxy, TlsFront, of_no_use

from sandbox.github import Fault, SandboxGitHub
from supervisor.gateways.github import GitHub
from supervisor.github.errors import Unavailable
from supervisor.github.exchange import Request
from supervisor.web.proxies import Proxies, parse_proxy

TOKEN = "made-up-secret-token"
LIST = Request("GET", "/orgs/acme/actions/runners?per_page=100", "list the runners")
ENVIRONMENT = ("http_proxy", "https_proxy", "all_proxy")
CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


@pytest.fixture
def sandbox() -> Iterator[SandboxGitHub]:
    with SandboxGitHub(org="acme", token=TOKEN) as server:
        yield server


@pytest.fixture
def front(
    sandbox: SandboxGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TlsFront]:
    with TlsFront(tmp_path, port_of(sandbox)) as made:
        for name in CERTIFICATES:
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(made.ca_file))
        yield made


def port_of(sandbox: SandboxGitHub) -> int:
    return int(sandbox.url.rsplit(":", 1)[1])


def through(url: str, *exceptions: str) -> Proxies:
    return Proxies(parse_proxy(url), parse_proxy(url), exceptions)


def ask(url: str, proxies: Proxies, times: int = 1) -> int:
    github = GitHub(f"{url}/api/v3", proxies)
    try:
        return {github.exchange(LIST, TOKEN).status for _ in range(times)}.pop()
    finally:
        github.close()


@pytest.mark.parametrize("login", ["", LOGIN])
def test_https_goes_through_a_tunnel_that_is_kept(
    front: TlsFront, tmp_path: Path, login: str
) -> None:
    with Tinyproxy(tmp_path, login=bool(login)) as proxy:
        assert ask(front.url, through(proxy.url(login)), times=3) == 200
        assert proxy.asked() == [f"CONNECT {NAME}:{front.port}"]
    assert front.connections == 1


@pytest.mark.parametrize("login", ["", LOGIN])
def test_plain_http_goes_through_the_proxy(
    sandbox: SandboxGitHub, tmp_path: Path, login: str
) -> None:
    address = f"http://{NAME}:{port_of(sandbox)}"
    with Tinyproxy(tmp_path, login=bool(login)) as proxy:
        assert ask(address, through(proxy.url(login))) == 200
        assert proxy.asked()[0].startswith(f"GET {address}/api/v3/orgs/acme/")


def test_plain_http_to_a_proxy_that_wants_a_login_says_so(
    sandbox: SandboxGitHub, tmp_path: Path
) -> None:
    with Tinyproxy(tmp_path, login=True) as proxy:
        words = rf"through the proxy {proxy.url()} \(it wants a login \(407\).* in http-proxy"
        with pytest.raises(Unavailable, match=words):
            ask(f"http://{NAME}:{port_of(sandbox)}", through(proxy.url()))


def test_a_proxy_can_be_spoken_to_by_tls(front: TlsFront, tmp_path: Path) -> None:
    another = tmp_path / "another"
    another.mkdir()
    with Tinyproxy(tmp_path, login=True) as proxy, TlsFront(another, proxy.port) as its_front:
        with front.ca_file.open("ab") as trusted:
            trusted.write(its_front.ca_file.read_bytes())
        assert ask(front.url, through(f"https://{LOGIN}127.0.0.1:{its_front.port}")) == 200
        assert proxy.asked() == [f"CONNECT {NAME}:{front.port}"]


def test_each_scheme_has_its_own_proxy(front: TlsFront, tmp_path: Path) -> None:
    with Tinyproxy(tmp_path) as proxy:
        good, bad = parse_proxy(proxy.url()), parse_proxy("http://127.0.0.1:1")
        assert ask(front.url, Proxies(http=bad, https=good)) == 200
        with pytest.raises(Unavailable, match=r"through the proxy http://127\.0\.0\.1:1 "):
            ask(front.url, Proxies(http=good, https=bad))


def test_an_exception_is_asked_directly(front: TlsFront, tmp_path: Path) -> None:
    with Tinyproxy(tmp_path) as proxy:
        # And can't be found, as the proxy alone knows its name.
        with pytest.raises(Unavailable, match=r"GitHub can't be reached \("):
            ask(front.url, through(proxy.url(), ".test"))
        assert proxy.asked() == []


def test_this_machine_is_asked_directly(sandbox: SandboxGitHub) -> None:
    assert ask(sandbox.url, through("http://127.0.0.1:1")) == 200


def test_a_proxy_in_the_environment_is_not_used(
    sandbox: SandboxGitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    for name in ENVIRONMENT:
        monkeypatch.setenv(name, "http://127.0.0.1:1")
        monkeypatch.setenv(name.upper(), "http://127.0.0.1:1")
    assert ask(sandbox.url, Proxies()) == 200


def test_exceptions_in_the_environment_are_not_used(
    front: TlsFront, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with Tinyproxy(tmp_path) as proxy:
        assert ask(front.url, through(proxy.url())) == 200


@pytest.mark.parametrize("name", CERTIFICATES)
def test_a_ca_of_the_sites_own_is_trusted_by_the_environment(
    front: TlsFront, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with Tinyproxy(tmp_path) as proxy:
        monkeypatch.delenv("REQUESTS_CA_BUNDLE")
        with pytest.raises(Unavailable, match="GitHub's certificate is not trusted; if the proxy"):
            ask(front.url, through(proxy.url()))
        monkeypatch.setenv(name, str(front.ca_file))
        assert ask(front.url, through(proxy.url())) == 200


def test_a_github_that_speaks_no_tls_is_told(sandbox: SandboxGitHub, tmp_path: Path) -> None:
    with Tinyproxy(tmp_path) as proxy:
        address = f"https://{NAME}:{port_of(sandbox)}"
        with pytest.raises(Unavailable, match=rf"\({address[8:]} speaks no TLS through it"):
            ask(address, through(proxy.url()))


@pytest.mark.parametrize(
    "kind",
    [
        "refuses",
        "unknown name",
        "wants another login",
        "forbids",
        "gets nowhere",
        "speaks no TLS",
        "hangs",
        "hangs up",
        "is none",
        "405",
        "407",
        "502",
    ],
)
def test_no_failure_quotes_the_login_not_even_in_its_traceback(
    front: TlsFront, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr("supervisor.gateways.github._TIMEOUT_S", 1)
    with of_no_use(kind, tmp_path) as url:
        begun = time.monotonic()
        with pytest.raises(Unavailable, match="GitHub can't be reached through the") as caught:
            ask(front.url, through(url))
        assert time.monotonic() - begun < 30
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    for secret in (PASSWORD, url.split("@")[0].split("//")[1].split(":")[1]):
        assert secret not in told


def test_a_github_that_is_silent_behind_the_proxy_is_given_up(
    front: TlsFront, sandbox: SandboxGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supervisor.gateways.github._TIMEOUT_S", 1)
    sandbox.faults.add(Fault(delay_s=3))
    with (
        Tinyproxy(tmp_path) as proxy,
        pytest.raises(Unavailable, match=rf"no answer within 1 s; .* does it get to {NAME}:"),
    ):
        ask(front.url, through(proxy.url()))
