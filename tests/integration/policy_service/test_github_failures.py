"""Whatever GitHub does, a job that could not be checked does not run, and is told so in time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import BoundedSemaphore
from time import monotonic
from typing import Any

import pytest
import requests
from policy_stand import (
    GITHUB_TOKEN,
    Fault,
    GitHub,
    Handler,
    Service,
    running,
    settings_for,
)
from policy_world import FORK, body
from waiting import eventually

from supervisor.github.errors import Unavailable
from supervisor.github.exchange import Request
from supervisor.policy_service.github_client import Client
from supervisor.policy_service.judge import within
from supervisor.web.proxies import Proxies, Proxy

CHECK_S = 5.0


def status(code: int, data: Any = None, **headers: str) -> Fault:
    def answer(handler: Handler) -> bool:
        handler.send(code, data if data is not None else {"message": "Oh"}, **headers)
        return True

    return answer


def raw(text: bytes, code: int = 200, **headers: str) -> Fault:
    def answer(handler: Handler) -> bool:
        handler.send_raw(code, text, **headers)
        return True

    return answer


def cut(handler: Handler) -> bool:
    handler.close_connection = True
    return True


def half(handler: Handler) -> bool:
    """Promise more than comes: what has come is good JSON."""
    handler.send_raw(200, b"[]", Content_Length="100")
    handler.close_connection = True
    return True


def drip(handler: Handler) -> bool:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(80):
        handler.wfile.write(b" ")
        handler.wfile.flush()
        if handler.server.github.released.wait(0.1):
            break
    handler.close_connection = True
    return True


def drip_headers(handler: Handler) -> bool:
    for letter in b"HTTP/1.1 200 OK\r\n" + b"x" * 80:
        handler.wfile.write(bytes([letter]))
        handler.wfile.flush()
        if handler.server.github.released.wait(0.1):
            break
    handler.close_connection = True
    return True


def endless(handler: Handler) -> bool:
    handler.send_response(200)
    handler.end_headers()
    for _ in range(40):
        handler.wfile.write(b" " * (1 << 20))
    handler.close_connection = True
    return True


def elsewhere(handler: Handler) -> bool:
    """Redirect to where all is well."""
    handler.send_raw(302, b"", Location=f"{handler.server.github.url}/good{handler.path}")
    return True


FAULTS: dict[str, Fault] = {
    **{str(code): status(code) for code in (301, 307, 400, 401, 403, 404, 409, 410, 422, 451, 500)},
    **{str(code): status(code) for code in (501, 502, 503, 504, 599)},
    "a 204": status(204),
    "a 304 that nobody asked for": raw(b"", 304),
    "a redirect": elsewhere,
    "no JSON": raw(b"<html>Unicorn!</html>"),
    "nothing": raw(b""),
    "null": raw(b"null"),
    "a wrong kind": raw(b"7"),
    "a message in place of a list": raw(b'{"message": "hello"}'),
    "a list of nonsense": raw(b"[1, null, {}]"),
    "deep JSON": raw(b"[" * 100_000),
    "no UTF-8": raw(b"\xff\xfe"),
    "half a page": half,
    "half of JSON": raw(b'[{"login": "reader", "role_name": "re'),
    "cut": cut,
}
NONSENSE_IN_HEADERS = raw(b"[]", **{"X-RateLimit-Reset": "soon", "ETag": "\xff", "Link": "<<"})
LIMITS: dict[str, Fault] = {
    "rate limit": status(
        403,
        {"message": "API rate limit exceeded"},
        **{"X-RateLimit-Limit": "5000", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"},
    ),
    "secondary rate limit": status(429, {"message": "slow down"}, **{"Retry-After": "60"}),
}
SLOW: dict[str, Fault] = {"drip": drip, "dripping headers": drip_headers, "endless": endless}
PLACES = ("/collaborators?", "/branches/main?", "/rules/", "/pulls?", "/comments?")


def only(place: str, fault: Fault) -> Fault:
    return lambda handler: place in f"{handler.path}?" and fault(handler)


def check_all(
    service: Service, github: GitHub, faults: dict[str, Fault]
) -> dict[str, requests.Response]:
    """Check a repository for each fault, all at the same time."""
    numbered = list(faults)

    def fail(handler: Handler) -> bool:
        return faults[numbered[int(handler.path.split("/")[3])]](handler)

    def check(name: str) -> requests.Response:
        number = numbered.index(name)
        asked = body(repository_name=f"acme/{number}", source_repository_name=FORK)
        return service.check(json=asked, address=f"127.0.1.{number + 1}")

    github.fault = fail
    with ThreadPoolExecutor(len(faults)) as pool:
        return dict(zip(faults, pool.map(check, faults), strict=True))


def test_no_failure_of_github_lets_a_job_run(service: Service, github: GitHub) -> None:
    faults = {name: only("/collaborators?", fault) for name, fault in FAULTS.items()}
    answers = check_all(service, github, faults)
    found = {name: answer.status_code for name, answer in answers.items()}
    assert found == {name: 403 if name == "404" else 500 for name in FAULTS}
    for answer in answers.values():
        assert answer.text.startswith("could not list the outside collaborators")
        assert answer.text.isprintable()
    logged = {(one["verdict"], one["reason"]) for one in service.decisions()}
    assert logged == {
        ("fail" if name == "404" else "error", answer.text) for name, answer in answers.items()
    }


def test_wherever_it_fails_the_job_does_not_run(service: Service, github: GitHub) -> None:
    names = ("500", "no JSON", "cut", "a redirect", "a wrong kind", "half a page", "401")
    faults = {f"{name} at {place}": only(place, FAULTS[name]) for name in names for place in PLACES}
    answers = check_all(service, github, faults)
    assert {name for name, answer in answers.items() if answer.status_code != 500} == set()


def test_a_page_that_fails_after_good_ones_is_not_left_out(
    service: Service, github: GitHub
) -> None:
    github.world.outside = [
        {"login": f"reader-{number}", "role_name": "read"} for number in range(250)
    ]
    faults = {name: only("page=3", FAULTS[name]) for name in ("500", "404", "cut", "half a page")}
    answers = check_all(service, github, {"none": lambda _: False, **faults})
    assert [answer.status_code for answer in answers.values()] == [204, 500, 403, 500, 500]


def test_a_slow_github_is_waited_for_no_longer_than_a_check_may_take(
    service: Service, github: GitHub
) -> None:
    answers = check_all(service, github, {**SLOW, "hang": github.hang})
    for name, answer in answers.items():
        assert answer.status_code == 500, name
        assert answer.elapsed.total_seconds() < CHECK_S + 2, name
    github.fault = None
    assert service.check().status_code == 204


def trickle(handler: Handler) -> bool:
    """Answer a letter at a time for as long as anybody listens."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    return trickle_head(handler)


def trickle_head(handler: Handler) -> bool:
    handler.close_connection = True
    while not handler.server.github.released.wait(0.1):
        handler.wfile.write(b"x")
        handler.wfile.flush()
    return True


@pytest.mark.parametrize("fault", [trickle, trickle_head])
def test_an_answer_that_trickles_keeps_no_slot_beyond_the_check_s_time(
    fault: Fault, github: GitHub
) -> None:
    slots = BoundedSemaphore(1)

    def ask(limit_s: float) -> int:
        client = Client(github.url, Proxies())
        request = Request("GET", "/rate_limit", "ask")
        return client.exchange(request, GITHUB_TOKEN, monotonic() + limit_s).status

    github.fault = fault
    with pytest.raises((TimeoutError, Unavailable)):
        within(1, partial(ask, 1), slots)
    github.fault = None  # those that trickle go on
    assert within(30, partial(ask, 30), slots) == 200


def test_a_trickling_proxy_is_cut_off_as_well(github: GitHub) -> None:
    proxies = Proxies(http=Proxy(github.url))
    github.fault = trickle_head
    began = monotonic()
    with pytest.raises(Unavailable):
        Client("http://github.example", proxies).exchange(
            Request("GET", "/", "ask"), GITHUB_TOKEN, monotonic() + 1
        )
    assert monotonic() - began < 30


def test_after_trickling_answers_github_s_good_ones_let_jobs_run(
    service: Service, github: GitHub
) -> None:
    answers = check_all(service, github, {str(number): trickle_head for number in range(16)})
    assert {answer.status_code for answer in answers.values()} == {500}
    eventually(lambda: not github.at_once)  # none goes on for nobody
    github.fault = None
    assert service.check().status_code == 204


def test_nonsense_in_headers_that_do_not_matter_is_let_be(service: Service, github: GitHub) -> None:
    github.fault = only("/collaborators?", NONSENSE_IN_HEADERS)
    assert service.check().status_code == 204


@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_of_github_s_is_no_pass_and_while_it_lasts_github_is_not_asked(
    name: str, github: GitHub, tmp_path: Path
) -> None:
    with running(settings_for(github.url, tmp_path), tmp_path, "--workers", "1") as service:
        github.fault = LIMITS[name]
        answer = service.check()
        assert answer.status_code == 500
        assert "no more calls for now" in answer.text
        github.fault, asked = None, len(github.asked)
        answer = service.check()
    assert answer.status_code == 500
    assert "GitHub asks for a pause; try again in" in answer.text
    assert len(github.asked) == asked


def test_a_pause_that_one_worker_is_asked_for_is_kept_by_all(
    github: GitHub, tmp_path: Path
) -> None:
    with running(settings_for(github.url, tmp_path), tmp_path, "--workers", "4") as service:
        github.fault = LIMITS["secondary rate limit"]
        assert service.check().status_code == 500
        github.fault, asked = None, len(github.asked)
        with ThreadPoolExecutor(16) as pool:
            addresses = [f"127.0.9.{number + 1}" for number in range(48)]
            answers = list(pool.map(lambda address: service.check(address=address), addresses))
    assert {answer.status_code for answer in answers} == {500}
    assert all("GitHub asks for a pause; try again in" in answer.text for answer in answers)
    assert len(github.asked) == asked


def test_nobody_at_github_s_address_is_said_plainly(tmp_path: Path) -> None:
    with running(settings_for("http://127.0.0.1:9", tmp_path), tmp_path) as service:
        answer = service.check()
    assert answer.status_code == 500
    assert "GitHub can't be reached (Connection refused)" in answer.text


def test_a_failure_of_a_moment_is_asked_again(service: Service, github: GitHub) -> None:
    left = [FAULTS["502"], FAULTS["cut"]]
    github.fault = lambda handler: bool(left) and left.pop()(handler)
    assert service.check().status_code == 204


def test_it_asks_through_the_proxy_that_is_named_and_says_so_when_that_fails(
    github: GitHub, tmp_path: Path
) -> None:
    proxies = {"http": "http://user:hunter2@127.0.0.1:9"}
    changes = {"api_url": "http://github.example/api/v3", "proxies": proxies}
    settings = settings_for(github.url, tmp_path, github=changes)
    with running(settings, tmp_path) as service:
        answer = service.check()
    assert answer.status_code == 500
    assert "through the proxy http://127.0.0.1:9" in answer.text
    assert "hunter2" not in answer.text + (tmp_path / "service.log").read_text()
