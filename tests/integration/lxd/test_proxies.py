"""LXD is behind a unix socket: no proxy has a say there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from supervisor.gateways.lxd import Lxd

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from sandbox.private_lxd import PrivateLxd


def test_lxd_is_never_asked_through_a_proxy_of_the_environments(
    lxd: Lxd,
    real_lxd: PrivateLxd,
    request_for: Callable[..., dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "ws_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
        monkeypatch.setenv(name.upper(), "http://127.0.0.1:1")
    fresh = Lxd(real_lxd.endpoint)
    with fresh.events() as stream:
        fresh.create(request_for("one"), limit_s=30)
        assert next(stream).name == "one"
    assert [instance.name for instance in fresh.instances()] == ["one"]
