"""A fleet whose image is built: the first, the next, and what happens when a build does not end."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.application import build_application
from sandbox.image import build_image
from supervisor.gateways.image_key import seal_of
from supervisor.gateways.lxd import Lxd
from supervisor.images.properties import BuiltImage
from supervisor.runners import marks
from tests.e2e.waits import wait_until
from tests.e2e.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from sandbox.private_lxd import PrivateLxd
    from tests.e2e.conftest import Kept

    MakeWorld = Callable[..., AbstractContextManager[World]]

pytestmark = pytest.mark.timeout(300)

BASE = "tiny-base"
BUILD_LIMIT_S = 120.0
HELD = "while [ ! -f /go ]; do sleep 0.1; done"
"""An operator's script that goes on when it may."""
GRANTED_S = 45.0
"""How long systemd grants the daemon for its end."""


class Images:
    """The images of a world's installation, and the daemon that builds them quickly."""

    def __init__(self, world: World, directory: Path) -> None:
        self.world = world
        self.directory = directory
        self.lxd = Lxd(world.lxd.endpoint)
        self.script = directory / "image.sh"
        daemon = world.daemon
        daemon.module = "tests.e2e.quick_images"
        daemon.config["lxd"].pop("image")
        daemon.config["base-image"] = BASE

    def there(self) -> list[BuiltImage]:
        """Return those that LXD has, the oldest first."""
        seal = seal_of(Path(self.world.daemon.config["state-directory"]) / "image-key")
        found = [
            BuiltImage.read(one.fingerprint, one.properties, seal, aliases=one.aliases)
            for one in self.lxd.stored_images()
        ]
        ours = [one for one in found if one and one.installation == self.world.installation]
        return sorted(ours, key=lambda image: image.order)

    def verified(self) -> set[str]:
        return {image.fingerprint for image in self.there() if image.verified}

    def builders(self) -> list[str]:
        return [
            one.name
            for one in self.lxd.instances()
            if marks.is_builder_of(self.world.installation, one.config)
        ]

    def made_from(self) -> set[str]:
        """Return the images that this installation's runners were made from."""
        return {config["volatile.base_image"] for config in self.world.configurations().values()}

    def shown(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.world.daemon.ask("/v1/image")
        return answer

    def write_script(self, text: str) -> None:
        self.script.write_text(f"#!/bin/sh\n{text}\n")

    def wait(self, holds: Callable[[], object], what: str) -> None:
        wait_until(holds, what, limit_s=BUILD_LIMIT_S)

    def wait_held(self) -> str:
        """Wait until the operator's script runs; give the one builder that is there."""
        self.wait(
            lambda: (
                "run the operator's script" in self.shown()["building"]
                and len(self.builders()) == 1
            ),
            "it is built",
        )
        (builder,) = self.builders()
        return builder

    def let_go(self, builder: str) -> None:
        """Let the script go on that is held."""
        self.lxd.push_file(builder, "/go", b"", mode=0o644, limit_s=30)

    def wait_served_by(self, fingerprint: str) -> None:
        """Wait until the fleet is whole, and all of it is made from this image."""
        self.wait(
            lambda: self.world.is_whole() and self.made_from() == {fingerprint},
            f"all runners start from {fingerprint[:12]}",
        )

    def leave(self) -> None:
        self.world.daemon.kill()
        for name in self.builders():
            self.lxd.delete(name, limit_s=60)
        for name in self.world.instances():
            self.lxd.delete(name, limit_s=60)
        for image in self.there():
            self.lxd.delete_image(image.fingerprint)


@pytest.fixture(scope="module")
def base(real_lxd: PrivateLxd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give an image without the application, in which guests could fetch it."""
    built = build_image(tmp_path_factory.mktemp("base"), policy_tools=True)
    lxd = Lxd(real_lxd.endpoint)
    lxd.import_image(built.path, alias=BASE)
    yield BASE
    lxd.delete_image(built.fingerprint)


@contextmanager
def open_images(make_world: MakeWorld, directory: Path) -> Iterator[Images]:
    with make_world() as world:
        made = Images(world, directory)
        try:
            yield made
        finally:
            made.leave()


@pytest.fixture
def images(make_world: MakeWorld, base: str, tmp_path: Path) -> Iterator[Images]:
    with open_images(make_world, tmp_path) as made:
        yield made


@pytest.fixture
def shared(
    kept: Kept, make_world: MakeWorld, base: str, tmp_path_factory: pytest.TempPathFactory
) -> Images:
    """A fleet of several tests, as a first image costs ten seconds.

    Each leaves it with one image; the last one stops the daemon.
    """

    @contextmanager
    def make() -> Iterator[Images]:
        with open_images(make_world, tmp_path_factory.mktemp("images")) as made:
            made.world.daemon.start()
            yield made

    made: Images = kept.get("images", make)
    return made


def used_by(images: Images) -> str:
    """Wait for the one image that all runners start from, and return it."""
    images.wait(lambda: len(images.there()) == len(images.verified()) == 1, "there is one image")
    (used,) = images.verified()
    images.wait_served_by(used)
    return used


def test_from_the_first_image_to_the_next_one(shared: Images) -> None:
    images, world = shared, shared.world
    first = used_by(images)
    images.wait(lambda: images.builders() == [], "no builder is left")
    job = world.queue("echo hello")
    world.wait_completed(job)
    world.wait_whole()
    world.wait_sound()

    # A new release, while a job runs.
    gate = world.gate()
    held = world.queue(gate.script)
    busy = world.wait_started(held)
    newer = build_application(images.directory, "2.999.0")
    world.github.release(newer.path)
    assert world.daemon.cli("upgrade", "--now").returncode == 0
    images.wait(lambda: len(images.verified()) == 2, "another image is built")
    (second,) = images.verified() - {first}
    images.wait(
        lambda: (
            {
                config["volatile.base_image"]
                for name, config in world.configurations().items()
                if name != busy
            }
            == {second}
        ),
        "idle runners are replaced",
    )
    assert busy in world.names(frozenset({"busy"}))
    assert first in images.verified()  # as long as it is in use
    gate.open()
    world.wait_completed(held)
    images.wait_served_by(second)
    images.wait(lambda: images.verified() == {second}, "the old image is deleted")
    images.wait(lambda: len(images.shown()["images"]) == 1, "the daemon has seen that")
    (listed,) = json.loads(world.daemon.cli("image", "list", "--json").stdout)["images"]
    assert (listed["fingerprint"], listed["application_version"]) == (second, "2.999.0")


def test_a_script_that_fails_keeps_the_image_and_its_log_says_why(shared: Images) -> None:
    images, world = shared, shared.world
    first = used_by(images)
    images.write_script("echo this line explains it\nexit 3")
    world.daemon.reload(image_script=str(images.script))
    images.wait(lambda: images.shown()["error"], "the build has failed")
    assert images.shown()["state"] == "ready"
    assert "run the operator's script" in images.shown()["error"]
    assert images.verified() == {first}
    images.wait(lambda: images.builders() == [], "no builder is left")
    assert world.is_whole()
    world.wait_sound()
    warnings = world.status()["warnings"]
    assert any("image: no newer one could be made" in warning for warning in warnings)
    kept = json.loads(world.daemon.cli("image", "logs", "--json").stdout)
    failed = [one["runner"] for one in kept if "run the operator's script" in one["reason"]]
    told = world.daemon.cli("image", "logs", failed[0])
    assert "this line explains it" in told.stdout

    images.write_script("echo all is well >/etc/well")
    done = world.daemon.cli("image", "build", "--wait", "--timeout", str(BUILD_LIMIT_S))
    assert done.returncode == 0, done.stderr
    assert used_by(images) != first
    assert images.shown()["error"] == ""


def test_an_image_that_can_not_be_a_runner_is_never_used(shared: Images) -> None:
    images, world = shared, shared.world
    first, before = used_by(images), world.daemon.config.get("image-script")
    script = images.directory / "harmful.sh"
    script.write_text("#!/bin/sh\necho '#!/bin/nothing' >/opt/actions-runner/bin/Runner.Listener\n")
    world.daemon.reload(image_script=str(script))
    images.wait(lambda: images.shown()["error"], "the build has failed")
    assert "the runner application can't be run in it: exit code 127" in images.shown()["error"]
    assert {image.fingerprint for image in images.there()} == {first}
    assert images.made_from() == {first}
    # What is there is what is wanted again: nothing is built.
    world.daemon.reload(image_script=before)
    images.wait(lambda: not images.shown()["error"], "all is well again")
    assert used_by(images) == first


def test_a_daemon_that_is_killed_during_a_build_leaves_nothing_half_made(shared: Images) -> None:
    images, world = shared, shared.world
    first = used_by(images)
    images.write_script(HELD)
    world.daemon.reload(image_script=str(images.script))
    half_made = images.wait_held()

    images.write_script(f"{HELD}; echo another >/etc/another")
    world.restart_after_kill()
    world.wait_whole()
    builder = images.wait_held()
    assert builder != half_made
    assert images.made_from() == images.verified() == {first}
    images.let_go(builder)
    images.wait(lambda: images.verified() - {first}, "another image is built")
    (second,) = images.verified() - {first}
    images.wait_served_by(second)
    images.wait(lambda: {i.fingerprint for i in images.there()} == {second}, "the others are gone")
    images.wait(lambda: images.builders() == [], "no builder is left")


def test_an_order_to_stop_ends_a_build_and_its_builder(shared: Images) -> None:
    images, world = shared, shared.world
    first = used_by(images)
    images.write_script(HELD)
    world.daemon.reload(image_script=str(images.script))
    builder = images.wait_held()
    before = world.names()
    assert world.daemon.stop() < GRANTED_S
    assert images.builders() == []
    assert world.daemon.said(f"the build of an image is abandoned: {builder} is gone")
    assert images.verified() == {first}
    assert world.instances() == dict.fromkeys(before, "Running")


def test_builders_are_filtered_and_no_runners(images: Images) -> None:
    world = images.world
    images.write_script(HELD)
    world.daemon.config["image-script"] = str(images.script)
    world.daemon.start()
    builder = images.wait_held()
    assert world.daemon.cli("image", "list").returncode == 1
    assert "the first image" in world.actor("image")["reason"]
    world.reconcile()
    assert world.runners() == {}
    assert images.builders() == [builder]
    (found,) = [one for one in images.lxd.instances() if one.name == builder]
    assert found.devices["eth0"]["security.mac_filtering"] == "true"
    world.wait_sound()
