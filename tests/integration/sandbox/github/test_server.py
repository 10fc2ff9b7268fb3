from __future__ import annotations

import socket
import threading

import pytest
import requests

from sandbox.github import JobRequest, SandboxGitHub


def test_it_listens_at_several_addresses_on_one_port() -> None:
    with SandboxGitHub(host=("127.0.0.1", "127.0.0.2")) as github:
        for host in ("127.0.0.1", "127.0.0.2"):
            answer = requests.get(f"{github.url_at(host)}/rate_limit", timeout=5)
            assert answer.status_code == 200


def test_a_taken_port_is_told_to_whoever_starts_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            SandboxGitHub(port=port).start()


def test_it_leaves_no_thread_and_stops_twice() -> None:
    before = set(threading.enumerate())  # some of which may be about to end
    github = SandboxGitHub()
    github.start()
    with pytest.raises(RuntimeError, match="already"):
        github.start()
    github.stop()
    github.stop()
    assert set(threading.enumerate()) <= before


def test_what_was_recorded_outlives_the_server() -> None:
    with SandboxGitHub() as github:
        github.queue(JobRequest("true", "acme/demo"))
    assert len(github.jobs()) == 1
    with pytest.raises(KeyError):
        github.job(7)


def test_waiting_ends_when_the_predicate_holds_or_the_time_is_up() -> None:
    with SandboxGitHub() as github:
        assert not github.wait_for(lambda: bool(github.jobs()), 0.05)
        timer = threading.Timer(0.05, github.queue, (JobRequest("true", "acme/demo"),))
        timer.start()
        assert github.wait_for(lambda: bool(github.jobs()), 5)
        timer.join()
