"""Many guests at a time, guests that mean harm, and processes that die."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests
from policy_stand import CHARM, GitHub, Service, running, settings_for, start
from policy_world import SHA, body
from ports import free_port
from waiting import eventually

AT_ONCE = 50


def test_fifty_checks_are_answered_in_parallel_while_github_is_slow(
    github: GitHub, service: Service
) -> None:
    github.world.pulls.clear()
    own = body(source_repository_name=body()["repository_name"])

    def together(_: Any) -> bool:
        if github.at_once >= AT_ONCE:
            github.released.set()
        return github.released.wait(10) and False

    github.fault = together
    with ThreadPoolExecutor(AT_ONCE) as pool:
        addresses = [f"127.0.2.{number + 1}" for number in range(AT_ONCE)]
        answers = list(pool.map(lambda a: service.check(json=own, address=a), addresses))
    assert [answer.status_code for answer in answers] == [204] * AT_ONCE
    assert github.most_at_once == AT_ONCE


def ask_while_github_hangs(
    service: Service, github: GitHub, deed: Any, count: int = 6
) -> list[object]:
    """Ask, do something when GitHub is being asked, let it answer; give what the askers got."""

    def ask(number: int) -> object:
        try:
            return service.check(address=f"127.0.3.{number + 1}").status_code
        except requests.RequestException as error:
            return type(error)

    github.fault = github.hang
    with ThreadPoolExecutor(count) as pool:
        asked = [pool.submit(ask, number) for number in range(count)]
        eventually(lambda: github.at_once >= count)
        deed()
        github.released.set()
        return [one.result(30) for one in asked]


def test_a_worker_that_is_killed_lets_nothing_pass_and_another_comes(
    github: GitHub, tmp_path: Path
) -> None:
    with running(settings_for(github.url, tmp_path), tmp_path, "--workers", "1") as service:
        (worker,) = service.workers
        got = ask_while_github_hangs(service, github, lambda: os.kill(worker, signal.SIGKILL))
        assert 204 not in got
        eventually(lambda: service.workers not in ([], [worker]))
        github.fault = None
        assert service.check().status_code == 204


def test_a_service_whose_processes_are_all_killed_lets_nothing_pass(
    github: GitHub, tmp_path: Path
) -> None:
    with running(settings_for(github.url, tmp_path), tmp_path) as service:
        pid = service.process.pid
        got = ask_while_github_hangs(service, github, lambda: os.killpg(pid, signal.SIGKILL))
        assert 204 not in got
        assert service.process.wait(10) == -signal.SIGKILL


def test_a_master_that_is_killed_takes_its_workers_along_and_frees_the_address(
    github: GitHub, tmp_path: Path
) -> None:
    with running(settings_for(github.url, tmp_path), tmp_path) as service:
        got = ask_while_github_hangs(service, github, lambda: _kill(service.process))
        assert 204 not in got
        github.fault = None
        with pytest.raises(requests.ConnectionError):
            service.check()
        again = settings_for(github.url, tmp_path)
        process = start(again, service.base.removeprefix("http://"))
        try:
            eventually(lambda: _answers(service))
        finally:
            process.terminate()
            process.wait(30)


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait(10)


def _answers(service: Service) -> bool:
    with suppress(requests.ConnectionError):
        return service.check().status_code == 204
    return False


def test_a_service_that_is_told_to_end_answers_what_it_was_asked(
    github: GitHub, tmp_path: Path
) -> None:
    with running(settings_for(github.url, tmp_path), tmp_path) as service:
        got = ask_while_github_hangs(service, github, service.process.terminate)
        assert got == [204] * 6
        assert service.process.wait(30) == 0


def test_it_ends_when_the_process_that_has_started_it_is_gone(
    github: GitHub, tmp_path: Path
) -> None:
    bind = f"127.0.0.1:{free_port()}"
    program = (
        "import json, os, sys; sys.path.insert(0, sys.argv[1]); from policy_stand import start; "
        "me = ('--parent', str(os.getpid())); "
        "print(start(json.load(sys.stdin), sys.argv[2], *me, stdout=2).pid)"
    )
    tests = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", program, tests, bind],
        input=json.dumps(settings_for(github.url, tmp_path)),
        stdout=subprocess.PIPE,
        text=True,
        timeout=30,
        check=True,
    )
    host, port = bind.split(":")
    eventually(lambda: not Path(f"/proc/{int(done.stdout)}").exists())
    eventually(lambda: not _is_open(host, int(port)))


# Guests that mean harm.


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"{", b"[]", b"null", b"7", b'"text"', b"\xff\xfe", b"{}" * 100),
        b"[" * 60_000,
        json.dumps(body(repository_name="../../user")).encode(),
        json.dumps(body(commit_sha=SHA[:-1])).encode(),
        json.dumps(body(target_branch_name="a\nb")).encode(),
        json.dumps(body(source_branch_name="\ud800")).encode(),
        json.dumps(body(repository_name=["acme/demo"])).encode(),
        json.dumps(dict.fromkeys(body())).encode(),
        *(json.dumps({k: v for k, v in body().items() if k != key}).encode() for key in body()),
    ],
)
def test_a_body_that_is_not_as_it_ought_to_be_is_a_400_and_github_is_not_asked(
    data: bytes, service: Service, github: GitHub
) -> None:
    headers = {"Content-Type": "application/json"}
    token = service.token()
    answer = service.call("POST", "/check-run", token, data=data, headers=headers)
    assert answer.status_code == 400
    assert github.asked == []
    assert [one["verdict"] for one in service.decisions()] == ["error"]


def test_a_fault_in_a_field_is_named_as_in_the_original(service: Service) -> None:
    answer = service.check("push", json={"repository_name": 7})
    assert answer.status_code == 400
    assert answer.headers["Content-Type"] == "application/json"
    (fault,) = answer.json()["validation_error"]["body_params"]
    assert fault["loc"] == ["repository_name"]


def test_a_body_of_another_type_is_a_415_and_megabytes_are_not_read(service: Service) -> None:
    text = {"Content-Type": "text/plain"}
    answer = service.call("POST", "/check-run", service.token(), data=b"{}", headers=text)
    assert answer.status_code == 415
    huge = json.dumps(body(more="x" * (5 << 20))).encode()
    for data in (huge, iter([huge])):  # with its length, and in chunks
        try:
            answer = service.check(
                json=None, data=data, headers={"Content-Type": "application/json"}
            )
        except requests.ConnectionError:
            continue  # it was not read to its end
        assert answer.status_code in {400, 413}
    assert service.check().status_code == 204


def test_other_methods_and_addresses_pass_nothing(service: Service) -> None:
    for method, path in (
        *(("OPTIONS", "/check-run"), ("GET", "/check-run"), ("PUT", "/policy"), ("GET", "/")),
        ("POST", "/check-run/"),
        *(("POST", "/none/check-run"), ("GET", "/auth-health/"), ("POST", "/health")),
    ):
        answer = service.call(method, path, service.token(), json=body())
        assert answer.status_code in {400, 404, 405}, (method, path)


def test_a_header_that_names_another_address_is_not_believed(service: Service) -> None:
    token = service.token(address="10.1.2.3")
    names = ("X-Forwarded-For", "X-Real-IP", "Forwarded", "Client-IP")
    headers = dict.fromkeys(names, "10.1.2.3")
    assert service.call("GET", "/auth-health", token, headers=headers).status_code == 401


# Where it listens.


def test_it_listens_at_the_address_that_it_was_given_and_nowhere_else(
    github: GitHub, tmp_path: Path
) -> None:
    port = free_port("127.0.5.1")
    process = start(settings_for(github.url, tmp_path), f"127.0.5.1:{port}")
    try:
        eventually(lambda: _is_up(f"http://127.0.5.1:{port}"))
        assert not _is_open("127.0.0.1", port)
        assert not _is_open("::1", port)
    finally:
        process.terminate()
        process.wait(30)


def _is_up(base: str) -> bool:
    with suppress(requests.ConnectionError):
        return requests.get(f"{base}/auth-health", timeout=5).status_code == 401
    return False


def _is_open(address: str, port: int) -> bool:
    with suppress(OSError), socket.create_connection((address, port), 2):
        return True
    return False


@pytest.mark.parametrize(
    "bind", ["0.0.0.0:8080", "[::]:8080", ":8080", "localhost:1", "127.0.0.1:0"]
)
def test_it_does_not_listen_everywhere_or_nowhere(bind: str, tmp_path: Path) -> None:
    process = start(settings_for("http://127.0.0.1:9", tmp_path), bind, stderr=subprocess.PIPE)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 2
    assert b"Invalid value for '--bind'" in error


def test_settings_that_are_wrong_end_it_with_one_line_that_shows_no_secret(
    tmp_path: Path,
) -> None:
    settings = settings_for("http://127.0.0.1:9", tmp_path, token_secrets=["c2hvcnQ="])
    process = start(settings, "127.0.0.1:8080", stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    out, error = process.communicate(timeout=30)
    assert process.returncode == 1
    assert error == b"policy service: token_secrets: must be base64 of at least 16 bytes each\n"
    assert CHARM.encode() not in out + error
