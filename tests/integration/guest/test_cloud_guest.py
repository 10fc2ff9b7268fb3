"""The same script in a stock system: this distribution, systemd and real cloud-init."""

import re
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from supervisor.config import LogsConfig
from supervisor.gateways.log_store import LogStore
from supervisor.gateways.lxd import Lxd
from supervisor.lifecycle import Limits
from supervisor.work.instance import InstanceWork, LogsSaved

Guests = Any
Inbox = Any
READY = {"signal": "ready"}
FINISHED = {"signal": "finished", "exit-code": "0"}
JIT_CONFIG = "and0LWNvbmZpZ3VyYXRpb24tb2YtdGhlLXRlc3Q="
TOKEN = "signal-token-of-the-test"


@pytest.mark.timeout(420)
def test_the_same_script_works_in_a_stock_system_with_cloud_init(
    guests: Guests, inbox: Inbox, cloud_image: str
) -> None:
    # Through a pipe: tests that run meanwhile look for it in all processes' arguments.
    places = "/var /etc /run /home /opt /tmp"
    found = f"$(printf %s {{}} | grep -rlF -f - {places} 2>/dev/null | sort | xargs)"
    jit = found.format(f"{JIT_CONFIG[:9]}''{JIT_CONFIG[9:]}")
    token = found.format(f"{TOKEN[:9]}''{TOKEN[9:]}")
    said = guests.run(
        f"""
        . ./.env
        tell() {{ GITHUB_WORKFLOW=$1 bash -e "$ACTIONS_RUNNER_HOOK_JOB_STARTED"; }}
        tell "$(id -un) $(id -Gn) $HOME $PWD $ACTIONS_RUNNER_INPUT_JITCONFIG"
        tell "jit {jit}"
        tell "token {token}"
        bash -e "$ACTIONS_RUNNER_HOOK_JOB_COMPLETED"
        """,
        image=cloud_image,
        limit_s=30,
    )
    assert [entry.get("workflow") or entry for entry in said[:4]] == [
        READY,
        f"runner runner /home/runner /opt/actions-runner {JIT_CONFIG}",
        "jit ",
        "token /var/lib/github-runner-guest/endpoint",
    ]
    assert said[4:] == [{"signal": "job-finished"}, FINISHED]
    assert inbox.leaks == []


@pytest.mark.timeout(420)
def test_a_stock_system_powers_off_when_its_application_is_refused(
    guests: Guests, inbox: Inbox, cloud_image: str
) -> None:
    name = guests.start("exit 0", image=cloud_image, application_sha256="0" * 64, linger_s=2)
    guests.wait_until_failed(name)
    guests.wait_until_gone(name)
    said = inbox.signals
    assert [entry["signal"] for entry in said] == ["failed"]
    assert said[0]["reason"].endswith(f"wanted {'0' * 64}")


@pytest.mark.timeout(420)
def test_a_stock_systems_journal_and_the_output_of_its_cloud_init_are_kept(
    guests: Guests, lxd: Lxd, cloud_image: str, tmp_path: Path
) -> None:
    name = guests.start("exit 0", image=cloud_image, application_sha256="0" * 64)
    guests.wait_until_failed(name)
    store = LogStore(tmp_path / "logs")
    work = InstanceWork(lxd, name, Limits())
    at = datetime(2030, 1, 1, tzinfo=timezone.utc)
    assert work.save_logs(store, LogsConfig(), reason="a test", at=at) == LogsSaved(kept=True)
    (kept,) = store.listing()
    whole = store.read(kept.runner)
    assert whole is not None
    _, output, journal = re.split(r"== /var/log/cloud-init-output.log ==|== journal ==", whole.text)
    assert "guest: failed: the application's SHA-256 is" in output
    assert "systemd" in journal
    assert JIT_CONFIG not in whole.text
    assert TOKEN not in whole.text
    lxd.delete(name, limit_s=30)
