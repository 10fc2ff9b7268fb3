"""The image's actor between neighbours that keep what they are told, over images in memory."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fake_actors import APPLICATION, Inbox, guarded
from fake_world import World
from under_way import Gate
from waiting import LIMIT_S, eventually

from supervisor.actors.image import ImageActor
from supervisor.causes import Cause
from supervisor.images.choice import Wish, choose
from supervisor.images.properties import BuiltImage
from supervisor.images.recipe import Recipe
from supervisor.images.settings import ImageSettings
from supervisor.messages.configuration import ConfigChanged
from supervisor.messages.image import AnnounceImage, BuildImage
from supervisor.messages.signals import SignalsListening
from supervisor.messages.storage import StorageChanged
from supervisor.messages.upgrades import ApplicationChanged
from supervisor.supervision import ChildSpec, Strategy
from supervisor.upgrades.application import Application
from supervisor.work.image import ImageFailed, ImageReady, Look

NEWER = Application(
    "https://github.example/newer", "1" * 64, "actions-runner-linux-x64-2.301.0.tar.gz"
)
PREPARED = "c3" * 32
HOUR = 3600.0


class Scene:
    """What LXD has of images, and how builds fare."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.numbers = itertools.count(0xA1)
        self.images: list[BuiltImage] = []
        self.aliases = {"github-runner": PREPARED}
        self.base = "ba" * 32
        self.faults: dict[str, ImageFailed] = {}
        self.gates: dict[str, Gate] = {}
        self.calls: list[str] = []
        self.spared: list[frozenset[str]] = []
        self.builds: list[dict[str, Any]] = []
        self.outdated = False

    def enter(self, call: str) -> ImageFailed | None:
        self.calls.append(call)
        if gate := self.gates.get(call):
            assert gate.wait(LIMIT_S)
        return self.faults.get(call)

    def hold(self, call: str) -> Gate:
        return self.gates.setdefault(call, Gate())

    def add(self, digest: str, **more: Any) -> BuiltImage:
        given: dict[str, Any] = {
            "fingerprint": f"{next(self.numbers):02x}" * 32,
            "installation": "fleet",
            "type": "virtual-machine",
            "application": APPLICATION.sha256,
            "base": self.base,
            "built_at": self.world.clock.now(),
            "verified": True,
            "size": 1 << 30,
            **more,
        }
        self.images.append(BuiltImage(digest=digest, **given))
        return self.images[-1]


class FakeWork:
    """As `ImageWork`, over a scene."""

    def __init__(self, scene: Scene, _lxd: object, settings: ImageSettings) -> None:
        self.scene = scene
        self.settings = settings

    def look(self, application: Application, *, current: str = "") -> Look | ImageFailed:
        return self.scene.enter("look") or self._look(application, current)

    def _look(self, application: Application, current: str) -> Look:
        settings = self.settings
        recipe = Recipe(
            base=self.scene.base,
            instance_type=settings.template.type,
            architecture=settings.architecture,
            application=application.sha256,
            provisioning="",
            packages=settings.packages,
        )
        images = tuple(self.scene.images)
        kind = settings.template.type
        found = choose(
            recipe.digest, images, frozenset(), current, installation="fleet", instance_type=kind
        )
        return Look(recipe, images, found)

    def ensure(
        self,
        application: Application,
        archive: Path,
        verification: Any,
        note: Callable[[str], object],
        wish: Wish,
    ) -> ImageReady | ImageFailed:
        scene = self.scene
        scene.builds.append({"application": application, "forced": wish.forced})
        assert archive.parent.name == application.sha256
        assert verification.signals == "http://10.0.0.1:8642"
        look = self._look(application, wish.current)
        is_old = wish.forced or (wish.probing and scene.outdated)
        if look.chosen and not look.choice.build and not is_old:
            scene.enter("probe")
            return ImageReady(look.chosen, built=False, took_s=1.0)
        note("phase: provisioning")
        note("step: install packages")
        note("Get:1 http://archive.example noble")
        if failed := scene.enter("build"):
            return failed
        recipe = look.recipe
        kind, inside = recipe.instance_type, recipe.application
        made = scene.add(recipe.digest, application=inside, type=kind)
        return ImageReady(made, built=True, took_s=240.0)

    def listing(self) -> tuple[BuiltImage, ...] | ImageFailed:
        failed = self.scene.enter("listing")
        images = sorted(self.scene.images, key=lambda image: image.built_at, reverse=True)
        return failed or tuple(images)

    def clean_up(self, in_use: frozenset[str] = frozenset()) -> tuple[str, ...] | ImageFailed:
        scene = self.scene
        scene.spared.append(in_use)
        if failed := scene.enter("clean_up"):
            return failed
        kind = self.settings.template.type
        found = choose("", scene.images, in_use, installation="fleet", instance_type=kind)
        scene.images = [image for image in scene.images if image.fingerprint not in found.delete]
        return found.delete

    def resolve(self, alias: str) -> str | ImageFailed:
        failed = self.scene.enter("resolve")
        found = self.scene.aliases.get(alias)
        return (
            failed
            or found
            or ImageFailed(
                f"LXD has no image with the alias {alias}: import it", cause=Cause.IMAGE_MISSING
            )
        )


class Play:
    """The actor between its neighbours, each of which keeps what it is told."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = world
        self.scene = Scene(world)
        self.fleet: list[Any] = []
        self.asked: list[Any] = []
        make = partial(FakeWork, self.scene)
        monkeypatch.setattr("supervisor.actors.image_errands.ImageWork", make)

    def run(self, *, furnished: bool = True) -> Play:
        system = self.world.system
        self.world.run(
            *(
                ChildSpec(name, partial(Inbox.start, system, self.asked))
                for name in ("signals", "storage", "firewall", "upgrades")
            ),
            ChildSpec("image", partial(ImageActor.start, system, self.world.parts)),
            ChildSpec("fleet", partial(Inbox.start, system, self.fleet)),
            strategy=Strategy.ONE_FOR_ONE,
        )
        # Who comes after it asks at its own start.
        system.directory.tell("image", AnnounceImage())
        if furnished:
            self.furnish()
        return self

    def furnish(self) -> None:
        """Tell the actor of all that a build needs."""
        config = self.world.parts.settings.config
        self.tell(ApplicationChanged(APPLICATION))
        self.tell(SignalsListening("http://10.0.0.1:8642"))
        self.tell(StorageChanged("default"))
        self.tell(guarded(config))

    def tell(self, message: object) -> None:
        self.world.tell("image", message)

    def reconfigure(self, **changes: Any) -> None:
        self.world.reconfigure(**changes)
        self.tell(ConfigChanged(self.world.parts.settings.config))

    def order(self) -> Any:
        ref = self.world.system.directory.ref("image")
        assert ref
        return ref.ask(BuildImage("a test"), timeout=LIMIT_S)

    def pass_time(self, seconds: float) -> None:
        """Let time pass, once all that was to be handled has been."""
        self.settle()
        self.world.clock.advance(seconds)

    def settle(self) -> None:
        """Wait until the actor has nothing to handle and its workers nothing to do."""
        self.world.settle()

    def starts_from(self, fingerprint: str) -> None:
        """Wait until the fleet was told last that runners start from this image."""
        eventually(lambda: self.fleet and self.fleet[-1].image == fingerprint)

    def lacks(self, words: str) -> None:
        """Wait until the fleet was told last that there is no image, for this reason."""
        eventually(
            lambda: self.fleet and not self.fleet[-1].image and words in self.fleet[-1].reason
        )

    def used(self) -> list[str]:
        """Return all images that the fleet was told of, in order."""
        return list(dict.fromkeys(change.image for change in self.fleet if change.image))

    @property
    def shown(self) -> tuple[str, str]:
        return self.world.shown("image")

    def detail(self, key: str) -> Any:
        return self.world.details("image")[key]

    @property
    def newest(self) -> BuiltImage:
        return self.scene.images[-1]


MakePlay = Callable[..., Play]


def built(play: Play) -> BuiltImage:
    """Run it until its first image is in use."""
    play.run()
    eventually(lambda: play.scene.images)
    play.starts_from(play.newest.fingerprint)
    play.settle()
    return play.newest
