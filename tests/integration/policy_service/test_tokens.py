"""One-time tokens at several workers."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from time import thread_time

from policy_stand import CHARM, SECRET, GitHub, Service, running, settings_for
from waiting import eventually

from supervisor.policy.tokens import ANYWHERE

REFUSED = "Unauthorized Access"


def use(service: Service, token: str | None, address: str = "127.0.0.1") -> int:
    return service.call("GET", "/auth-health", token, address=address).status_code


def test_a_token_that_is_used_at_one_worker_is_used_at_all(service: Service) -> None:
    eventually(lambda: len(service.workers) == 4)
    token = service.token(ANYWHERE)  # of many addresses, as each has few connections at a time
    with ThreadPoolExecutor(16) as pool:
        answers = Counter(pool.map(lambda n: use(service, token, f"127.0.6.{n + 1}"), range(64)))
    assert answers == {204: 1, 401: 63}


def test_it_stays_used_when_the_service_starts_anew(github: GitHub, tmp_path: Path) -> None:
    settings = settings_for(github.url, tmp_path)
    with running(settings, tmp_path) as service:
        token, other = service.token(), service.token()
        assert use(service, token) == 204
    with running(settings, tmp_path) as service:
        assert use(service, token) == 401
        assert use(service, other) == 204


def test_any_request_uses_a_token_up(service: Service) -> None:
    for method, path in (
        ("GET", "/one-time-token"),
        ("POST", "/policy"),
        ("POST", "/check-run"),
        ("POST", "/push/check-run"),
        ("POST", "/always-fail/check-run"),
    ):
        token = service.token()
        first = service.call(method, path, token, json={})
        assert first.status_code in {400, 403}, path
        assert use(service, token) == 401, path


def test_who_has_not_the_right_token_gets_the_same_answer_whatever_is_wrong(
    service: Service,
) -> None:
    wrong = [
        None,
        "",
        "nonsense",
        "x" * 3000,
        service.token()[:-1],
        service.token(secret=b"another secret, as long"),
        service.token(address="10.1.2.3"),
        service.token(lifetime=timedelta(seconds=-1)),
    ]
    for token in wrong:
        for method, path in (("POST", "/check-run"), ("GET", "/one-time-token")):
            answer = service.call(method, path, token, json={})
            assert (answer.status_code, answer.text) == (401, REFUSED), token
    assert (
        service.call("GET", "/auth-health", None, headers={"Authorization": "Basic eA=="}).ok
        is False
    )


def test_another_runner_s_token_is_useless_here_and_stays_good_there(service: Service) -> None:
    used = service.directory / "state" / "used-tokens"
    before = set(used.iterdir())
    assert use(service, service.token(address="127.0.0.2")) == 401
    assert set(used.iterdir()) == before


def test_each_has_a_role(service: Service) -> None:
    for path in ("/check-run", "/push/check-run", "/always-fail/check-run"):
        answer = service.call("POST", path, CHARM, json={})
        assert (answer.status_code, answer.text) == (403, REFUSED)
    answer = service.call("GET", "/one-time-token", service.token())
    assert (answer.status_code, answer.text) == (403, REFUSED)


def test_the_charm_gets_tokens_that_are_good_once(service: Service) -> None:
    answer = service.call("GET", "/one-time-token", CHARM)
    assert answer.status_code == 200
    assert use(service, answer.text) == 204
    assert use(service, answer.text) == 401


def test_three_hundred_are_issued_in_no_noticeable_time(service: Service) -> None:
    began = thread_time()
    tokens = {service.token(runner=f"runner-{number}") for number in range(300)}
    assert len(tokens) == 300
    assert thread_time() - began < 0.5


def test_tokens_of_the_previous_secret_are_good_until_it_is_taken_away(
    github: GitHub, tmp_path: Path
) -> None:
    new = "bmV3IHNlY3JldCwgbmV3IHNlY3JldA=="
    settings = settings_for(github.url, tmp_path)
    settings["token_secrets"].insert(0, new)
    with running(settings, tmp_path) as service:
        assert use(service, service.token(secret=SECRET)) == 204
    settings["token_secrets"] = [new]
    with running(settings, tmp_path) as service:
        assert use(service, service.token(secret=SECRET)) == 401


def test_a_state_directory_that_fails_lets_nobody_in(github: GitHub, tmp_path: Path) -> None:
    with running(settings_for(github.url, tmp_path), tmp_path) as service:
        (tmp_path / "state" / "used-tokens").rmdir()
        answer = service.call("GET", "/auth-health", service.token())
        assert answer.status_code == 500
        assert answer.text == "that the token is used can't be noted: No such file or directory"
