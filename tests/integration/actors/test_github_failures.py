"""Every way in which GitHub has failed: what the operator sees, and what the fleet does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fake_world import World
from github_fleet import GitHubFleet
from real_proxy import LOGIN, PASSWORD, Tinyproxy, TlsFront, of_no_use

from sandbox.github import Fault, SandboxGitHub
from supervisor.web.proxies import parse_proxy

TOKEN = "made-up-secret-token"
API = "*/actions/runners*"
JIT = "*/generate-jitconfig"
NEEDS = 'it needs the permission "Self-hosted runners: write", or the scope admin:org'


@dataclass(frozen=True)
class Row:
    """One way to fail.

    Attributes:
        name: of the test.
        fault: what GitHub does to all calls, or to those of `fault["path_pattern"]`.
        sees: what the operator reads of it.
        state: of the tokens actor.
        most_calls: within ten minutes; what is known to be in vain is not asked for.
        recovers_s: within so many seconds once GitHub is well.
        skew: of GitHub's clock against this machine's.
        is_slow: a call takes so long that few fit into a test.
    """

    name: str
    fault: dict[str, Any]
    sees: str
    state: str = "failing"
    most_calls: int = 50
    recovers_s: float = 310
    is_slow: bool = False
    skew: timedelta = timedelta()


def limit(**headers: str) -> dict[str, Any]:
    return {"headers": {name.replace("_", "-"): value for name, value in headers.items()}}


SECONDARY = "You have exceeded a secondary rate limit."
LIMIT = "GitHub asks for a pause, until 00:0"
PRIMARY = limit(x_ratelimit_remaining="0", x_ratelimit_limit="5000", x_ratelimit_reset="1893457800")
HTML = "<html>please log in</html>"
ROWS = [
    Row("401", {"status": 401}, "is wrong, expired or revoked", most_calls=15),
    Row("403 permission", {"status": 403}, NEEDS),
    Row(
        "403 permission, named",
        {"status": 403, **limit(x_accepted_github_permissions="a_b=write")},
        "it needs a_b=write",
    ),
    Row(
        "403 primary limit",
        {"status": 403, "message": "API rate limit exceeded for user ID 1.", **PRIMARY},
        "GitHub's hourly limit of 5000 calls is used up, until 00:30:00 UTC",
        "limited",
        most_calls=2,
        recovers_s=1900,
    ),
    Row(
        "403 secondary limit",
        {"status": 403, "message": SECONDARY, **limit(retry_after="120")},
        LIMIT,
        "limited",
        most_calls=12,
        recovers_s=1000,
    ),
    Row(
        "403 secondary limit, no Retry-After",
        {"status": 403, "message": SECONDARY},
        LIMIT,
        "limited",
        most_calls=8,
        recovers_s=1000,
    ),
    Row(
        "429 with Retry-After",
        {"status": 429, **limit(retry_after="90")},
        LIMIT,
        "limited",
        most_calls=16,
        recovers_s=1000,
    ),
    Row(
        "429 with a short Retry-After",
        {"status": 429, **limit(retry_after="1")},
        LIMIT,
        "limited",
        most_calls=12,
        recovers_s=1000,
    ),
    Row("429 without", {"status": 429}, LIMIT, "limited", 8, 1000),
    Row(
        "clock skew",
        {
            "status": 403,
            **limit(
                x_ratelimit_remaining="0",
                x_ratelimit_limit="5000",
                x_ratelimit_reset=str(1893457800 + 7200),
            ),
        },
        "GitHub's hourly limit of 5000 calls is used up, until 00:30:00 UTC",
        "limited",
        most_calls=2,
        recovers_s=1900,
        skew=timedelta(hours=2),
    ),
    Row("404", {"status": 404}, "there is no organisation acme, or the personal access token may"),
    Row("409", {"status": 409, "path_pattern": JIT}, "the name is taken"),
    Row(
        "422",
        {"status": 422, "path_pattern": JIT, "message": "Invalid label"},
        "GitHub answered 422: Invalid label",
    ),
    Row("500", {"status": 500}, "GitHub answered 500"),
    Row("502 HTML", {"status": 502, "body": HTML}, "GitHub answered 502"),
    Row("503", {"status": 503}, "GitHub answered 503"),
    Row("HTML instead of JSON", {"status": 200, "body": HTML}, "is github-url GitHub's address"),
    Row("JSON of another kind", {"status": 200, "body": "{}"}, "the answer can't be read"),
    Row("slow", {"delay_s": 1.5}, "GitHub can't be reached (no answer within 1 s)", is_slow=True),
    Row("cut", {"drop_connection": True}, "GitHub can't be reached (it closed the connection"),
    Row(
        "cut after the deed",
        {"drop_connection": True, "after_processing": True, "path_pattern": JIT},
        "GitHub can't be reached",
    ),
    Row("moved", {"status": 301}, "are path and github-url right?"),
]
BY_PROXY = [
    Row("proxy refuses", {}, "(Connection refused; is it up, and https-proxy right?)"),
    Row("proxy unknown name", {}, "(its name can't be resolved; is https-proxy right?)"),
    Row("proxy wants a login", {}, "(it wants a login (407): put USER:PASSWORD@ before the host"),
    Row("proxy wants another login", {}, "(401): are user and password in https-proxy right?"),
    Row("proxy 407", {}, "(407): are user and password in https-proxy right?"),
    Row("proxy forbids", {}, "(it forbids github.test:"),
    Row("proxy gets nowhere", {}, "(it can't reach github.test:"),
    Row("proxy 502", {}, "(502): its own log says why"),
    Row("proxy 405", {}, "is https-proxy a proxy that takes CONNECT?"),
    Row("proxy hangs", {}, "(no answer within 1 s; is https-proxy right, and does it get to"),
    Row("proxy hangs up", {}, "(it closed the connection without an answer"),
    Row("proxy is none", {}, "(what answers there is no HTTP proxy; is https-proxy right?)"),
    Row("proxy speaks no TLS", {}, "(it speaks no TLS, or its certificate is not trusted;"),
]


@pytest.fixture
def fleet(
    make_world: Callable[..., World], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[GitHubFleet, SandboxGitHub]]:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr("supervisor.gateways.github._TIMEOUT_S", 1)
    tarball = tmp_path / "actions-runner-linux-x64-2.300.0.tar.gz"
    tarball.write_bytes(b"an application")
    # None of these guests is real, so GitHub sees none of them online.
    world = make_world(virtual_machines=2, limits={"offline": "1d", "ready": "1d"})
    with SandboxGitHub(org="acme", token=TOKEN, tarball=tarball, clock=world.clock.now) as sandbox:
        world.reconfigure(github_url=sandbox.url, token=TOKEN)
        world.base.update({"github-url": sandbox.url, "token": TOKEN})
        yield GitHubFleet(world), sandbox
        world.system.stop(5)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_failure_is_told_costs_no_runner_and_mends_itself(
    fleet: tuple[GitHubFleet, SandboxGitHub], row: Row
) -> None:
    ours, sandbox = fleet
    world = ours.world
    ours.fill(2)
    live = world.names()
    sandbox.skew_clock(row.skew)
    fault = sandbox.faults.add(Fault(**{"path_pattern": API, "times": None, **row.fault}))
    ours.want(3)

    def is_told() -> bool:
        state, reason = world.shown("tokens")
        return state == row.state and row.sees in reason

    ours.pass_until(is_told)
    ours.pass_until(lambda: world.shown("fleet")[0] == "degraded")
    assert world.shown("fleet")[1].count("\n") == 0
    assert TOKEN not in "".join(world.logged)

    if not row.is_slow:  # each call takes a second of ours
        before = sandbox.faults.hits(fault)
        ours.let_pass(600)
        assert sandbox.faults.hits(fault) - before <= row.most_calls
    assert set(live) <= set(world.names())
    assert set(live) == set(world.lxd.there)
    assert world.lxd.count("create") == 2

    sandbox.faults.clear()
    due = world.clock.monotonic() + row.recovers_s
    ours.pass_until(lambda: world.stages()["booting"] == 1, step=1)
    assert world.clock.monotonic() <= due
    assert set(live) <= set(world.names())
    ours.pass_until(lambda: world.shown("tokens")[0] == "ready")
    ours.pass_until(lambda: world.shown("fleet")[0] == "keeping", step=1)
    assert len(sandbox.runners()) == 3


@pytest.mark.parametrize("row", BY_PROXY, ids=lambda row: row.name)
def test_a_failing_proxy_is_told_costs_no_runner_and_another_is_used_at_once(
    fleet: tuple[GitHubFleet, SandboxGitHub],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    row: Row,
) -> None:
    ours, sandbox = fleet
    world = ours.world
    port = int(sandbox.url.rsplit(":", 1)[1])
    with Tinyproxy(tmp_path, login=True) as proxy, TlsFront(tmp_path, port) as front:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(front.ca_file))
        world.base |= {"github-url": front.url, "https-proxy": proxy.url(LOGIN)}
        ours.want(2)
        # Those that were begun before are replaced.
        place = f"{front.url}/acme"
        ours.pass_until(lambda: [e.place for e in world.parts.roster.all()] == [place] * 2)
        ours.fill(2)
        live = world.names()
        elsewhere = tmp_path / "of-no-use"
        elsewhere.mkdir()
        with of_no_use(row.name.removeprefix("proxy "), elsewhere) as url:
            world.base["https-proxy"] = url
            ours.want(3)

            def is_told() -> bool:
                state, reason = world.shown("tokens")
                named = f"through the proxy {parse_proxy(url)} "
                return state == "failing" and row.sees in reason and named in reason

            ours.pass_until(is_told)
            ours.pass_until(lambda: world.shown("fleet")[0] == "degraded")
            assert set(live) <= set(world.names())
            assert set(live) == set(world.lxd.there)
            world.base["https-proxy"] = proxy.url(LOGIN)
            begun = world.clock.monotonic()
            ours.want(3)
            ours.pass_until(lambda: world.stages()["booting"] == 1)
            assert world.clock.monotonic() - begun < 60
        ours.fill(3)
        ours.pass_until(lambda: world.shown("tokens")[0] == "ready")
        assert set(live) <= set(world.names())
    shown = [*world.logged, *world.shown("tokens"), *world.shown("fleet")]
    assert f"{front.url} is asked through the proxy {proxy.url()}" in "".join(world.logged)
    for secret in (PASSWORD, PASSWORD.replace(".", "%2E"), TOKEN):
        assert secret not in "".join(shown)
