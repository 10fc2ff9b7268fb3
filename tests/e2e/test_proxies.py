"""A daemon whose only way to GitHub is a proxy."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from real_proxy import LOGIN, NAME, PASSWORD, Tinyproxy, TlsFront

from tests.e2e.test_secrets import told
from tests.e2e.waits import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.e2e.world import World


def test_jobs_run_where_github_is_reached_through_a_proxy_alone(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = (PASSWORD, LOGIN)
    github = urlsplit(world.github.url)
    assert github.hostname
    assert github.port
    with (
        Tinyproxy(tmp_path, login=True) as proxy,
        TlsFront(tmp_path, github.port, github.hostname) as front,
    ):
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(front.ca_file))
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
        world.daemon.config |= {"github-url": front.url, "https-proxy": proxy.url()}
        world.daemon.start()
        wait_until(
            lambda: "put USER:PASSWORD@ before the host" in str(world.status()["problems"]),
            "a login is wanted",
        )
        world.daemon.reload(https_proxy=proxy.url(LOGIN))
        world.wait_whole()
        world.wait_completed(world.queue())
        world.wait_whole()
        assert set(proxy.asked()) == {f"CONNECT {NAME}:{front.port}"}
        shown = [*told(world), world.daemon.log.read_text()]
        world.daemon.reload(virtual_machines=0)
        world.wait_empty()
    assert not [secret for secret in secrets for text in shown if secret in text]
