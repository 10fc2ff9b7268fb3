"""Whatever GitHub does, a job that could not be checked does not run, and is told so in time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from policy_stand import Fault, GitHub, Handler, Service, running, settings_for

CHECK_S = 3.0


@pytest.fixture
def service(github: GitHub, tmp_path: Path) -> Iterator[Service]:
    settings = settings_for(github.url, tmp_path)
    with running(settings, tmp_path, "--check-seconds", str(CHECK_S)) as made:
        yield made


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
    "rate limit": status(
        403,
        {"message": "API rate limit exceeded"},
        **{"X-RateLimit-Limit": "5000", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"},
    ),
    "secondary rate limit": status(429, {"message": "slow down"}, **{"Retry-After": "60"}),
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
    "headers of nonsense": raw(b"[]", **{"X-RateLimit-Reset": "soon", "Date": "never"}),
}
SLOW: dict[str, Fault] = {"drip": drip, "dripping headers": drip_headers, "endless": endless}
PLACES = ("/collaborators?", "/branches/main?", "/rules/", "/pulls?", "/comments?")


def only(place: str, fault: Fault) -> Fault:
    return lambda handler: place in f"{handler.path}?" and fault(handler)


@pytest.mark.parametrize("name", [name for name in FAULTS if "headers" not in name])
def test_no_failure_of_github_lets_a_job_run(name: str, service: Service, github: GitHub) -> None:
    github.fault = only("/collaborators?", FAULTS[name])
    answer = service.check()
    assert answer.status_code == (403 if name == "404" else 500), answer.text
    assert "could not list the outside collaborators" in answer.text
    assert "\n" not in answer.text
    (logged,) = service.decisions()
    assert logged["verdict"] == ("fail" if name == "404" else "error")
    assert logged["reason"] == answer.text


@pytest.mark.parametrize("place", PLACES)
def test_wherever_it_fails_the_job_does_not_run(
    place: str, service: Service, github: GitHub
) -> None:
    for name in ("500", "no JSON", "cut", "a redirect", "a wrong kind", "half a page", "401"):
        github.fault = only(place, FAULTS[name])
        assert service.check().status_code == 500, name


def test_nonsense_in_headers_that_do_not_matter_is_let_be(service: Service, github: GitHub) -> None:
    github.fault = only("/collaborators?", FAULTS["headers of nonsense"])
    assert service.check().status_code == 204


@pytest.mark.parametrize("name", SLOW)
def test_a_slow_github_is_waited_for_no_longer_than_a_check_may_take(
    name: str, service: Service, github: GitHub
) -> None:
    github.fault = SLOW[name]
    answer = service.check()
    assert answer.status_code == 500
    assert answer.elapsed.total_seconds() < CHECK_S + 2


def test_a_github_that_hangs_is_given_up_in_time_and_is_asked_again_when_it_is_back(
    service: Service, github: GitHub
) -> None:
    github.fault = github.hang
    answer = service.check()
    assert answer.status_code == 500
    assert answer.elapsed.total_seconds() < CHECK_S + 2
    github.fault = None
    assert service.check().status_code == 204


def test_nobody_at_github_s_address_is_said_plainly(tmp_path: Path) -> None:
    with running(settings_for("http://127.0.0.1:9", tmp_path), tmp_path) as service:
        answer = service.check()
    assert answer.status_code == 500
    assert "GitHub can't be reached (Connection refused)" in answer.text


def test_a_failure_of_a_moment_is_asked_again(service: Service, github: GitHub) -> None:
    left = [FAULTS["502"], FAULTS["cut"]]
    github.fault = lambda handler: bool(left) and left.pop()(handler)
    assert service.check().status_code == 204


def test_while_a_limit_lasts_github_is_not_asked(github: GitHub, tmp_path: Path) -> None:
    with running(settings_for(github.url, tmp_path), tmp_path, "--workers", "1") as service:
        github.fault = FAULTS["secondary rate limit"]
        assert service.check().status_code == 500
        github.fault, asked = None, len(github.asked)
        answer = service.check()
    assert answer.status_code == 500
    assert "GitHub asks for a pause; try again in" in answer.text
    assert len(github.asked) == asked


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


def test_a_page_that_fails_after_good_ones_is_not_left_out(
    service: Service, github: GitHub
) -> None:
    github.world.outside = [
        {"login": f"reader-{number}", "role_name": "read"} for number in range(250)
    ]
    assert service.check().status_code == 204
    for name in ("500", "404", "cut", "half a page"):
        github.fault = only("page=3", FAULTS[name])
        assert service.check().status_code in {403, 500}, name
