"""What a worker does for the image's actor: it keeps what a build says, and tells its steps."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from supervisor.config import ConfigError, LogsConfig, parse
from supervisor.gateways.application_store import ApplicationStore
from supervisor.gateways.log_store import LogStore
from supervisor.images.choice import Wish
from supervisor.images.properties import BuiltImage
from supervisor.upgrades.application import Application
from supervisor.work import image_upkeep
from supervisor.work.image import ImageFailed, ImageReady
from supervisor.work.image_upkeep import Build, BuildLogs, Listed, Resolved, Tidied, Unseen

NOW = datetime(2030, 1, 1, 12, 30, 5, tzinfo=timezone.utc)
NAME = "image-20300101t123005"
SAID = ["phase: provisioning", "step: install packages", "Get:1 http://archive.example"]
IMAGE = BuiltImage("a" * 64, "fleet", "d" * 64, "container", "1" * 64, "b" * 64, NOW, verified=True)


class Work:
    """Images that fare as they are told to."""

    def __init__(self, outcome: Any, said: list[str] | None = None) -> None:
        self.outcome = outcome
        self.said = said or []
        self.wish: Wish | None = None
        self.spared: frozenset[str] = frozenset()

    def ensure(self, _application: Any, _archive: Any, _trial: Any, note: Any, wish: Wish) -> Any:
        self.wish = wish
        for line in self.said:
            note(line)
        return self.outcome

    def clean_up(self, in_use: frozenset[str]) -> Any:
        self.spared = in_use
        return self.outcome if isinstance(self.outcome, ImageFailed) else ("image abc",)

    def listing(self) -> Any:
        return self.outcome

    def resolve(self, _alias: str) -> Any:
        return self.outcome


class Builds:
    """A build, and where its log goes."""

    def __init__(self, directory: Path) -> None:
        self.store = LogStore(directory / "image-logs")
        self.applications = ApplicationStore(directory / "applications")
        self.steps: list[str] = []
        self.most = "16KiB"

    def run(self, work: Work) -> ImageReady | ImageFailed:
        wanted = Build(
            Application("https://example.com/a", "1" * 64, "a.tar.gz"),
            self.applications,
            trial=None,  # type: ignore[arg-type]
            wish=Wish("c" * 64, forced=True),
        )
        config = LogsConfig.model_validate({"keep": 5, "size": self.most})
        logs = BuildLogs(self.store, config)
        return image_upkeep.build(work, wanted, logs, NOW, self.steps.append)  # type: ignore[arg-type]


class HoldingWork(Work):
    """Sees during the build whether its application may be pruned."""

    def __init__(self, applications: ApplicationStore) -> None:
        super().__init__(ImageReady(IMAGE, built=False, took_s=1))
        self.applications = applications
        self.seen: list[tuple[Path, bool]] = []

    def ensure(self, application: Any, archive: Any, *more: Any, **given: Any) -> Any:
        self.seen.append((archive, self.applications.is_held(application.sha256)))
        return super().ensure(application, archive, *more, **given)


@pytest.fixture
def build(tmp_path: Path) -> Builds:
    return Builds(tmp_path)


def test_a_builds_steps_are_told_and_its_words_are_kept(build: Builds) -> None:
    work = Work(ImageReady(IMAGE, built=True, took_s=99.6), SAID)
    assert build.run(work) == work.outcome
    assert work.wish == Wish("c" * 64, forced=True)
    assert build.steps == ["provisioning", "install packages"]
    kept = build.store.read(NAME)
    assert kept
    assert kept.reason == f"built {IMAGE.alias} in 100 s"
    assert kept.text.endswith("\n\n" + "\n".join(SAID) + "\n")


def test_a_failure_names_its_log(build: Builds) -> None:
    assert build.run(Work(ImageFailed("no route"), SAID)) == ImageFailed("no route", log=NAME)
    kept = build.store.read(NAME)
    assert kept
    assert kept.reason == "no route"


def test_what_has_said_nothing_or_built_nothing_leaves_no_log(build: Builds) -> None:
    assert build.run(Work(ImageFailed("no route"))) == ImageFailed("no route")
    build.run(Work(ImageReady(IMAGE, built=False, took_s=1.0), SAID))
    assert build.store.listing() == []


def test_of_a_long_log_the_end_is_kept(build: Builds) -> None:
    said = [f"line {number} of many" for number in range(5000)]
    build.run(Work(ImageFailed("why"), said))
    kept = build.store.read(NAME)
    assert kept
    assert kept.text.endswith("line 4999 of many\n")
    assert kept.size <= 16 << 10


def test_a_disk_that_takes_no_log_does_not_cost_the_image(build: Builds, tmp_path: Path) -> None:
    (tmp_path / "image-logs").write_text("in the way")
    work = Work(ImageReady(IMAGE, built=True, took_s=1.0), SAID)
    assert build.run(work) == work.outcome
    assert build.run(Work(ImageFailed("why"), SAID)) == ImageFailed("why")


OUTAGE = ImageFailed("LXD is away", outage=True)


@pytest.mark.parametrize(
    ("call", "outcome", "told"),
    [
        (lambda work: image_upkeep.see(work, "a"), "a" * 64, Resolved("a" * 64)),
        (lambda work: image_upkeep.see(work, "a"), OUTAGE, Unseen(OUTAGE)),
        (lambda work: image_upkeep.see(work, ""), (IMAGE,), Listed((IMAGE,))),
        (lambda work: image_upkeep.see(work, ""), OUTAGE, Unseen(OUTAGE)),
        (lambda work: image_upkeep.tidy(work, frozenset("a")), (IMAGE,), Tidied(left=True)),
        (lambda work: image_upkeep.tidy(work, frozenset("a")), OUTAGE, OUTAGE),
    ],
)
def test_what_there_is_is_told(call: Callable[[Any], Any], outcome: Any, told: Any) -> None:
    assert call(Work(outcome)) == told


def test_a_script_that_can_not_be_read_is_an_error_of_the_configuration(tmp_path: Path) -> None:
    script = tmp_path / "image.sh"
    given = {"name": "fleet", "path": "acme", "token": "s", "image-script": str(script)}
    config = parse(given, "x")
    with pytest.raises(ConfigError, match=f"^image-script: {script} can't be read: No such file"):
        image_upkeep.check(config)
    script.write_text("#!/bin/sh\n")
    image_upkeep.check(config)


def test_the_application_of_a_build_is_held_until_its_end(build: Builds) -> None:
    work = HoldingWork(build.applications)
    build.run(work)
    assert work.seen == [(build.applications.archive("1" * 64), True)]
    assert not build.applications.is_held("1" * 64)
