"""What `policy` shows of the service that checks jobs."""

from __future__ import annotations

import json

from tests.unit.cli.called import SINCE, Serve, call

POLICY = {
    "healthy": True, "state": "ready", "reason": "it checks jobs at http://10.9.0.1:8643",
    "mode": "builtin", "healthy_since": "2026-11-01T10:00:00+00:00", "version": "0.1.0",
    "workers": 2, "counts": {"allowed": 1200, "refused": 1},
    "counted_since": "2026-11-01T10:01:00+00:00",
    "decisions": [
        {
            "time": SINCE, "runner": "fleet-a", "repository": "acme/demo", "event": "push",
            "verdict": "allowed", "reason": "", "duration_ms": 210,
        },
        {
            "time": SINCE, "runner": "fleet-b", "repository": "acme/\x1b[2Jdemo", "event": "push",
            "verdict": "refused", "reason": "no\nreview", "duration_ms": 1210,
        },
        {
            "time": SINCE, "runner": "fleet-c", "repository": "", "event": "push",
            "verdict": "refused", "reason": "no \x1b[31mevent", "duration_ms": None, "by": "guest",
        },
    ],
    "guests": {"refused": 3, "contradicted": 1},
    "warnings": ["it stays as it was"],
}  # fmt: skip


def test_a_healthy_policy_service_is_shown_with_its_last_decisions(serve: Serve) -> None:
    socket = serve(POLICY)
    done = call("policy", "--socket", socket)
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[:8] == [
        "healthy: it checks jobs at http://10.9.0.1:8643",
        "mode builtin, version 0.1.0",
        "healthy since 2026-11-01 10:00 UTC",
        "workers: 2",
        "decisions since 2026-11-01 10:01 UTC: 1,200 allowed, 1 refused",
        "guests on their own: 3 refused",
        "jobs that say they were refused, and were allowed: 1",
        "warning: it stays as it was",
    ]
    assert lines[8].split() == [
        "DECIDED", "RUNNER", "REPOSITORY", "EVENT", "VERDICT", "TOOK", "REASON",
    ]  # fmt: skip
    assert "fleet-c" in lines[9]
    assert "refused (guest)" in lines[9]
    assert "fleet-b" in lines[10]
    assert lines[10].rstrip().endswith("1,210 ms  no review")
    assert "fleet-a" in lines[11]
    assert "\x1b" not in done.stdout
    assert json.loads(call("policy", "--json", "--socket", socket).stdout) == POLICY


def test_a_policy_service_that_is_not_healthy_is_a_failure(serve: Serve) -> None:
    answer = {"healthy": False, "state": "failing", "reason": "it has ended with 1"}
    done = call("policy", "--socket", serve(answer))
    assert (done.exit_code, done.stdout) == (1, "NOT healthy: it has ended with 1\n")
