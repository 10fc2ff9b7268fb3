"""Versions of a policy package: installed beside each other, tried, and switched to."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from package_stand import Stand
from policy_packages import BROKEN, NAME, commit, part, repository, serving_index, tools, wheel

from supervisor.gateways.environments import Environment
from supervisor.messages.upgrades import PolicyPackageFailed
from supervisor.policy.package import Release
from supervisor.work import package as package_work
from supervisor.work import package_trial
from supervisor.work.package import FellBack, PackageNotReady, PackageReady, fall_back
from supervisor.work.package_trial import Tried

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Stand:
    """Give a stand with a good version in use, whose place none of the broken ones may take."""
    made = Stand(tmp_path_factory.mktemp("serving"))
    tools(made.links)
    installed(made)
    return made


@pytest.fixture
def broken(serving: Stand) -> Iterator[Callable[[str], Stand]]:
    """Have a newer version, which is broken."""
    made: list[Path] = []

    def publish(how: str) -> Stand:
        made.append(wheel(serving.links, "2.0", **BROKEN[how]))
        return serving

    yield publish
    for path in made:
        path.unlink()
    serving.refused.clear()


def adopted(stand: Stand, version: str) -> Environment:
    """Note an environment as good, as if pip had installed a version in it."""
    path = stand.environments.make()
    release = Release(NAME, version, parts=(f"gunicorn {metadata.version('gunicorn')}",))
    return stand.environments.adopt(path, release, NAME)


def installed(stand: Stand, version: str = "1.0", **broken: str) -> PackageReady:
    wheel(stand.links, version, **broken)
    found = stand.bring_up_to_date()
    assert isinstance(found, PackageReady), found
    return found


def ill(environment: Environment) -> PolicyPackageFailed:
    return PolicyPackageFailed(str(environment.path), "ill")


def test_a_version_is_installed_and_the_next_one_takes_its_place(stand: Stand) -> None:
    first = installed(stand)
    assert (stand.version, first.took_s > 0) == (f"{NAME} 1.0", True)
    again = stand.bring_up_to_date()
    assert isinstance(again, PackageReady)
    assert (again.environment, again.took_s) == (first.environment, 0)
    second = installed(stand, "1.1")
    assert stand.version == f"{NAME} 1.1"
    assert stand.directories == ["1", "2"]
    assert second.environment.path != first.environment.path
    assert any("tries demo-policy 1.1" in note for note in stand.notes)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("import", "can't import demo_policy:app: ImportError: no such thing"),
        ("exit", "can't import demo_policy:app: SystemExit: 7"),
        ("errors", "to its charm token it answers 500 all is broken, and not 200"),
        ("hangs", "has not answered within"),
        ("open", "to a token that was used it answers 204, and not 401"),
        ("trouble", "GitHub is unknown"),
    ],
)
def test_a_broken_version_leaves_the_one_before_in_use(
    broken: Callable[[str], Stand], monkeypatch: pytest.MonkeyPatch, how: str, said: str
) -> None:
    stand = broken(how)
    if how == "hangs":
        monkeypatch.setattr(package_trial, "_START_LIMIT_S", 3.0)
    found = stand.bring_up_to_date()
    assert isinstance(found, PackageNotReady)
    assert said in found.reason or (how == "hangs" and "no answer" in found.reason)
    assert (found.version, found.tried, found.refused) == (f"{NAME} 2.0", True, True)
    assert stand.version == f"{NAME} 1.0"
    assert stand.directories == ["1"]


def test_one_that_may_not_be_tried_is_not(broken: Callable[[str], Stand]) -> None:
    stand = broken("errors")
    stand.refused = {f"{NAME} 2.0"}
    found = stand.bring_up_to_date()
    assert isinstance(found, PackageNotReady)
    assert (found.version, found.tried) == (f"{NAME} 2.0", False)
    assert "asks for the latest" in stand.notes[-1]


def test_a_service_that_only_can_not_ask_github_is_as_good_as_none(stand: Stand) -> None:
    """Else an outage at GitHub would keep what was never installed from being so."""
    installed(stand, "1.0", **BROKEN["trouble"])
    installed(stand, "1.1", **BROKEN["trouble"])
    assert stand.version == f"{NAME} 1.1"


def test_a_version_that_can_not_be_had_is_said_in_pips_words(stand: Stand) -> None:
    found = stand.bring_up_to_date()
    assert isinstance(found, PackageNotReady)
    assert found.reason.startswith("pip: ERROR: Could not find a version that satisfies")
    assert (found.tried, found.refused, stand.directories) == (True, False, [])
    installed(stand)
    found = stand.bring_up_to_date(package=f"{NAME}==9")
    assert isinstance(found, PackageNotReady)
    assert found.reason.startswith("the latest version is not known: pip: ERROR: Could not find")
    assert stand.version == f"{NAME} 1.0"


def test_what_fails_in_use_gives_its_place_back(stand: Stand) -> None:
    first, second = (adopted(stand, version) for version in ("1.0", "1.1"))
    assert fall_back(stand.environments, stand.config(), ill(first)) is None  # it is not in use
    found = fall_back(stand.environments, stand.config(), ill(second))
    assert found == FellBack(f"{NAME} 1.1", first, "ill")
    assert stand.version == f"{NAME} 1.0"
    assert fall_back(stand.environments, stand.config(), ill(first)) is None


def test_old_versions_go_but_none_that_something_runs_from(stand: Stand) -> None:
    first, *_ = (adopted(stand, version) for version in ("1.0", "1.1", "1.2", "1.3"))
    wheel(stand.links, "1.3")
    stand.in_use = {first.path}
    stand.bring_up_to_date()
    assert stand.directories == ["1", "3", "4"]
    stand.in_use = set()
    stand.bring_up_to_date()
    assert stand.directories == ["3", "4"]


def test_an_index_gives_the_latest_and_its_password_is_nowhere(
    stand: Stand, tmp_path: Path
) -> None:
    (tmp_path / "index").mkdir()
    with serving_index(tmp_path / "index") as index:
        tools(tmp_path)
        wheel(tmp_path, "1.0")
        for made in list(tmp_path.glob("*.whl")):
            index.publish(made)
        index.authorized = "Basic " + b64encode(b"me:pass-of-the-index").decode()
        url = index.url.replace("http://", "http://me:pass-of-the-index@")
        found = stand.bring_up_to_date(**{"package-index": url})
        assert isinstance(found, PackageReady), found
        assert stand.version == f"{NAME} 1.0"
        index.publish(wheel(tmp_path, "1.1"))
        stand.bring_up_to_date(**{"package-index": url})
        assert stand.version == f"{NAME} 1.1"
        wrong = index.url.replace("http://", "http://me:other-password@")
        refused = stand.bring_up_to_date(**{"package-index": wrong})
    assert isinstance(refused, PackageNotReady)
    assert "other-password" not in refused.reason
    for path in stand.state.rglob("*"):
        if path.is_file():
            assert b"pass-of-the-index" not in path.read_bytes(), path


def test_a_repository_gives_its_latest_commit(stand: Stand, tmp_path: Path) -> None:
    made = repository(tmp_path / "repository")
    address = f"git+file://{made}"
    first = stand.bring_up_to_date(package=address)
    assert isinstance(first, PackageReady), first
    assert first.environment.release.version == "3.0"
    assert len(first.environment.release.origin) == 40
    assert stand.bring_up_to_date(package=address) == PackageReady(first.environment)
    commit(made)
    second = stand.bring_up_to_date(package=address)
    assert isinstance(second, PackageReady), second
    assert second.environment.release.origin != first.environment.release.origin


def test_nothing_of_a_package_runs_while_a_newer_one_is_looked_for(
    stand: Stand, tmp_path: Path
) -> None:
    """What a wheel has run whenever a Python starts would run as the daemon's user."""
    ran = tmp_path / "ran"
    wheel(stand.links, "1.0", start=f"import pathlib; pathlib.Path({str(ran)!r}).touch()")
    found = stand.bring_up_to_date()
    assert isinstance(found, PackageReady), found
    assert ran.exists()  # when it was tried, by whom it is to run as
    ran.unlink()
    assert stand.bring_up_to_date() == PackageReady(found.environment)
    assert not ran.exists()


def test_nothing_of_a_package_runs_while_it_is_installed(
    stand: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = tmp_path / "ran"
    wheel(stand.links, "1.0", start=f"import pathlib; pathlib.Path({str(ran)!r}).touch()")
    monkeypatch.setattr(package_work, "try_out", lambda *_: Tried())
    found = stand.bring_up_to_date()
    assert isinstance(found, PackageReady), found
    assert not ran.exists()


def test_what_it_needs_is_kept_current_too(stand: Stand) -> None:
    part(stand.links, "1.0")
    wheel(stand.links, "1.0", needs="demo-part")
    first = stand.bring_up_to_date()
    assert isinstance(first, PackageReady), first
    part(stand.links, "1.1")
    stand.refused = {f"{NAME} 1.0 with demo-part 1.1"}
    refused = stand.bring_up_to_date()
    assert isinstance(refused, PackageNotReady)
    assert (refused.version, refused.tried) == (f"{NAME} 1.0 with demo-part 1.1", False)
    stand.refused = set()
    second = stand.bring_up_to_date()
    assert isinstance(second, PackageReady), second
    assert "demo-part 1.1" in second.environment.release.parts
    assert stand.bring_up_to_date() == PackageReady(second.environment)
    back = fall_back(stand.environments, stand.config(), ill(second.environment))
    assert back
    assert back.failed == f"{NAME} 1.0 with demo-part 1.1"


def test_a_repository_that_can_not_be_had_is_said_in_gits_words(stand: Stand) -> None:
    found = stand.bring_up_to_date(package="git+https://127.0.0.1:1/x")
    assert isinstance(found, PackageNotReady)
    assert found.reason.startswith("pip: fatal: unable to access 'https://127.0.0.1:1/x/'")


def test_a_disk_that_can_not_be_written_is_said(stand: Stand) -> None:
    stand.state.write_text("a file in its place")
    found: Any = stand.bring_up_to_date()
    assert isinstance(found, PackageNotReady)
    assert str(stand.state) in found.reason
