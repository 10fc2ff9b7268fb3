"""What of a configuration can change while the daemon runs."""

from typing import Any

import pytest

from supervisor.config import parse
from tests.unit.config.examples import APP, EXTERNAL, MINIMUM, SERVER


@pytest.mark.parametrize(
    ("changes", "needs"),
    [
        ({"virtual-machines": 9}, ()),
        ({"labels": "new"}, ()),
        ({"vm-memory": "8GiB"}, ()),
        ({"token": "another"}, ()),
        ({"token": None, "token-file": "/token"}, ()),
        ({"token": None, "app": APP}, ()),
        ({"group": "gpu"}, ()),
        ({"limits": {"booting": "1m"}}, ()),
        ({"lxd": {"image": "new"}}, ()),
        ({"base-image": "jammy", "image-script": "/image.sh", "image-build-interval": "1h"}, ()),
        ({"name": "other"}, ("name",)),
        ({"path": "other"}, ()),
        ({"github-url": "https://other"}, ()),
        ({"github-url": "https://api.github.com/"}, ()),
        ({"signals": {"port": 1}}, ("signals",)),
        ({"control": {"debug": True}}, ("control",)),
        ({"metrics": {"port": 1}}, ("metrics",)),
        ({"metric-log": {"path": "/var/log/metrics.log"}}, ("metric-log",)),
        ({"journal": {"retention-days": 1}}, ()),
        ({"lxd": {"timeout": "1s", "network": "br0"}}, ("lxd.network", "lxd.timeout")),
        ({"runner-storage": "memory"}, ("runner-storage",)),
        ({"lxd": {"creations-at-once": 9}}, ("lxd.creations-at-once",)),
        ({"http-proxy": "http://p:3128"}, ()),
        ({"no-proxy": "a.example"}, ()),
        ({"use-aproxy": True, "http-proxy": "http://p:3128"}, ()),
        ({"dockerhub-mirror": "https://m.example"}, ()),
        ({"ssh-debug": [SERVER]}, ()),
        ({"denylist": "10.0.0.0/8"}, ()),
        ({"allowlist": "10.0.0.1:80"}, ()),
        ({"firewall": "external"}, ("firewall",)),
    ],
)
def test_what_a_running_daemon_can_not_change_is_named(
    changes: dict[str, Any], needs: tuple[str, ...]
) -> None:
    before, after = parse(MINIMUM, "x"), parse({**MINIMUM, **changes}, "x")
    assert before.needs_restart(after) == needs
    assert before.needs_restart(before) == ()


@pytest.mark.parametrize(
    ("changes", "needs"),
    [
        ({"policy": {"mode": "off"}}, ("policy.mode",)),
        ({"policy": {"port": 9000}}, ("policy.port",)),
        ({"policy": {"user": "nobody"}}, ("policy.user",)),
        ({"policy": EXTERNAL}, ("policy.mode", "policy.url")),
        ({"policy": {"workers": 3, "document": {}, "token-lifetime": "9d"}}, ()),
    ],
)
def test_where_the_policy_is_asked_changes_with_a_restart_only(
    changes: dict[str, Any], needs: tuple[str, ...]
) -> None:
    assert parse(MINIMUM, "x").needs_restart(parse({**MINIMUM, **changes}, "x")) == needs


def test_what_is_kept_of_logs_can_change_while_the_daemon_runs() -> None:
    before, after = parse(MINIMUM, "x"), parse({**MINIMUM, "logs": {"keep": 3}}, "x")
    assert before.needs_restart(after) == ()
