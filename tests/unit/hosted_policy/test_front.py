"""What guests reach of a package: whatever it does, only its own yes is one."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import ModuleType
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest
from flask import Blueprint
from waiting import eventually

from supervisor.hosted_policy import front as front_module
from supervisor.hosted_policy import package as package_module
from supervisor.hosted_policy.front import CHECKS, Front
from supervisor.hosted_policy.package import Package, PackageFault
from supervisor.hosted_policy.settings import Settings, parse
from supervisor.policy.tokens import issue
from supervisor.policy_service.decisions import DecisionLog
from supervisor.policy_service.used_tokens import UsedTokens

SECRET = b"0123456789abcdef0123456789abcdef"


class App:
    """A package whose answers a test decides."""

    def __init__(self) -> None:
        self.answers: dict[str, Callable[[], tuple[int, bytes]]] = {}
        self.tokens: set[str] = set()
        self.threads: set[int] = set()
        self.paths: list[str] = []
        self.is_open = False

    def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
        path = environ["PATH_INFO"]
        self.paths.append(path)
        self.threads.add(threading.get_ident())
        status, body = self._answer(path, environ.get("HTTP_AUTHORIZATION", "")[7:])
        start_response(f"{status} Words", [])
        return [body]

    def _answer(self, path: str, token: str) -> tuple[int, bytes]:
        if path in self.answers:
            return self.answers[path]()
        if path == "/health":
            return 204, b""
        if path == "/one-time-token":
            if token != "charm":
                return 401, b""
            self.tokens.add(made := f"t{len(self.paths)}")
            return 200, made.encode()
        if token not in self.tokens and not self.is_open:
            return 401, b""
        self.tokens.discard(token)
        return 204, b""


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> App:
    module = ModuleType("a_policy_package")
    module.app = made = App()  # type: ignore[attr-defined]
    module.nothing = None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "a_policy_package", module)
    return made


def settings(tmp_path: Path, app: str = "a_policy_package:app") -> Settings:
    return Settings(app, {}, "charm", (SECRET,), tmp_path, None, tmp_path / "decisions.jsonl")


class Guest:
    """Asks the front."""

    def __init__(self, tmp_path: Path) -> None:
        self.package = Package(settings(tmp_path))
        self.package.load()
        used = UsedTokens(tmp_path / "used")
        used.prepare()
        self.decisions = tmp_path / "decisions.jsonl"
        self.front = Front(self.package, (SECRET,), used, DecisionLog(self.decisions))

    def ask(self, method: str, path: str, *, token: str | None = None, **more: Any) -> Any:
        now = datetime.now(timezone.utc)
        token = token or issue(SECRET, "r", "127.0.0.1", now, timedelta(hours=1))
        environ = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_LENGTH": "2",
            "HTTP_AUTHORIZATION": f"Bearer {token}",
            **more,
        }
        setup_testing_defaults(environ)
        environ["wsgi.input"].write(b"{}")
        environ["wsgi.input"].seek(0)
        statuses: list[str] = []
        body = b"".join(self.front(environ, lambda status, _headers: statuses.append(status)))
        return int(statuses[0].split()[0]), body.decode()

    def check(self, **more: Any) -> Any:
        return self.ask("POST", "/push/check-run", **more)


@pytest.fixture
def guest(app: App, tmp_path: Path) -> Guest:
    return Guest(tmp_path)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    made = threading.Event()
    yield made
    made.set()


def raising(error: BaseException) -> Callable[[], tuple[int, bytes]]:
    def answer() -> tuple[int, bytes]:
        raise error

    return answer


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda: (204, b""), (204, "")),
        (lambda: (403, b"no\r\n"), (403, "no\r\n")),
        (lambda: (200, b""), (500, "the package answers 200")),
        (lambda: (302, b""), (500, "the package answers 302")),
        (lambda: (500, b"GitHub is away"), (500, "GitHub is away")),
        (raising(ValueError("odd")), (500, "odd")),
        (raising(SystemExit(1)), (500, "it wants to end: SystemExit")),
    ],
)
def test_only_a_204_of_its_own_is_a_yes(app: App, guest: Guest, answer: Any, said: Any) -> None:
    app.answers["/push/check-run"] = answer
    assert guest.check() == said


def test_each_check_has_a_token_of_the_packages_own(app: App, guest: Guest) -> None:
    assert [guest.ask("POST", path)[0] for path in CHECKS] == [204] * len(CHECKS)
    assert app.tokens == set()
    assert len(app.threads) == 1  # its database is another in each thread


def test_a_token_that_it_can_not_issue_is_a_no(app: App, guest: Guest) -> None:
    app.answers["/one-time-token"] = lambda: (500, b"broken")
    status, said = guest.check()
    assert status == 500
    assert "broken" in said


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"token": "forged"}, 401),
        ({"HTTP_AUTHORIZATION": "Basic eA=="}, 401),
        ({"REMOTE_ADDR": "10.0.0.9"}, 401),
        ({"CONTENT_LENGTH": ""}, 411),
        ({"CONTENT_LENGTH": "-1"}, 411),
        ({"CONTENT_LENGTH": "99999999"}, 413),
    ],
)
def test_what_is_no_question_never_reaches_it(
    app: App, guest: Guest, more: dict[str, str], status: int
) -> None:
    before = len(app.paths)
    assert guest.check(**more)[0] == status
    assert len(app.paths) == before


def test_guests_reach_nothing_else_of_it(app: App, guest: Guest) -> None:
    before = len(app.paths)
    for method, path in (("GET", "/one-time-token"), ("POST", "/policy"), ("GET", "/x")):
        assert guest.ask(method, path, token="charm")[0] == 404
    assert len(app.paths) == before


def test_a_decision_that_can_not_be_logged_is_a_no(guest: Guest) -> None:
    guest.decisions.mkdir()
    assert guest.check() == (500, "it could not be checked: IsADirectoryError")


def test_a_check_that_takes_too_long_is_a_no_and_harms_no_other(
    app: App, guest: Guest, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front_module, "_CHECK_LIMIT_S", 0.2)
    monkeypatch.setattr(front_module, "_HEALTH_LIMIT_S", 0.2)
    assert guest.ask("GET", "/health")[0] == 204
    app.answers["/push/check-run"] = lambda: ((gate.wait(30) and 204) or 500, b"")
    assert guest.check() == (500, "the package has not answered within 0 s")
    assert guest.check()[0] == 500
    guest.front._health_until = 0
    assert guest.ask("GET", "/health")[0] == 204  # busy is not ill
    assert guest.ask("GET", "/auth-health")[0] == 204
    monkeypatch.setattr(package_module, "_HUNG_S", 0.0)
    assert guest.ask("GET", "/health")[0] == 500
    assert guest.ask("GET", "/auth-health") == (503, "the package hangs")
    gate.set()
    eventually(lambda: guest.ask("GET", "/auth-health")[0] == 204)
    assert app.paths.count("/push/check-run") == 1  # who was given up is not asked for


def test_nobody_elses_job_may_run(app: App, guest: Guest) -> None:
    guest.front._scope = "acme"
    assert guest.check() == (403, "these runners serve acme, and no other's jobs")
    assert "/push/check-run" not in app.paths


def test_it_is_ill_while_decisions_can_not_be_logged(app: App, guest: Guest) -> None:
    guest.decisions.mkdir()
    reason = f"the decision can't be logged: {guest.decisions}: Is a directory"
    assert guest.ask("GET", "/health") == (500, reason)


def test_it_is_ill_while_no_token_can_be_used(app: App, guest: Guest, tmp_path: Path) -> None:
    (tmp_path / "used").rmdir()
    status, reason = guest.ask("GET", "/health")
    assert (status, reason.split(":")[0]) == (500, "used tokens can't be noted")


def test_its_health_is_asked_for_seldom(app: App, guest: Guest) -> None:
    app.answers["/health"] = lambda: (500, b"GitHub is away")
    assert guest.ask("GET", "/health") == (500, "GitHub is away")
    assert guest.ask("GET", "/health") == (500, "GitHub is away")
    assert app.paths.count("/health") == 1


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("no_such_package:app", "can't import no_such_package:app: ModuleNotFoundError"),
        ("a_policy_package:other", "can't import a_policy_package:other: AttributeError"),
        ("a_policy_package:nothing", "it is no application"),
    ],
)
def test_what_is_no_application_is_said(app: App, tmp_path: Path, where: str, said: str) -> None:
    with pytest.raises(PackageFault) as caught:
        Package(settings(tmp_path, where)).load()
    assert said in str(caught.value)


def test_one_that_lets_anybody_in_is_none(app: App, tmp_path: Path) -> None:
    app.is_open = True
    with pytest.raises(PackageFault, match="to a token that was used it answers 204, and not 401"):
        Package(settings(tmp_path)).load()


def test_a_blueprint_of_flasks_is_given_an_application(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    blueprint = Blueprint("policy", "policy")
    blueprint.add_url_rule("/one-time-token", "token", lambda: ("broken", 500))
    module = ModuleType("a_policy_package")
    module.app = blueprint  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "a_policy_package", module)
    with pytest.raises(PackageFault, match="to its charm token it answers 500 broken"):
        Package(settings(tmp_path)).load()


def test_what_the_daemon_tells_is_read() -> None:
    app = '{"app": {"id": "7", "installation_id": 8, "private_key": "PEM"}}'
    proxies = '{"http": null, "https": "http://p:1", "exceptions": ["a", "b"]}'
    text = (
        f'{{"app": "m:a", "charm_token": "c", "token_secrets": ["QUJD"], "policy": {{}}, '
        f'"state_directory": "/s", "decisions": "/d", "scope": null, '
        f'"github": {{"api_url": "https://g", "credential": {app}, "proxies": {proxies}}}}}'
    )
    read = parse(text)
    assert (read.app, read.token_secrets, read.policy) == ("m:a", (b"ABC",), {})
    assert read.environment == {
        "CHARM_TOKEN": "c",
        "GITHUB_API_URL": "https://g",
        "GITHUB_APP_ID": "7",
        "GITHUB_APP_INSTALLATION_ID": "8",
        "GITHUB_APP_PRIVATE_KEY": "PEM",
        "https_proxy": "http://p:1",
        "no_proxy": "a,b",
    }
    token = parse(text.replace(app, '{"token": "ghp"}')).environment
    assert token["GITHUB_TOKEN"] == "ghp"
    assert "GITHUB_APP_ID" not in token
