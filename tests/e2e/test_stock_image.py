"""A fleet whose image is built by the real script, of a stock system: Debian, systemd, apt."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.e2e.test_image import BUILD_LIMIT_S, Images
from tests.e2e.waits import wait_until
from tests.integration.images.test_stock_system import base, packages

if TYPE_CHECKING:
    from pathlib import Path

    from tests.e2e.test_image import MakeWorld

__all__ = ["base", "packages"]

pytestmark = pytest.mark.timeout(420)  # the stock system itself may have to be made


def test_a_fleet_comes_up_from_an_image_of_a_stock_system_and_does_a_job(
    make_world: MakeWorld, base: str, tmp_path: Path
) -> None:
    with make_world(virtual_machines=1, vm_memory="1GiB", vm_disk="4GiB") as world:
        images = Images(world, tmp_path)
        world.daemon.module = "supervisor"
        world.daemon.config |= {"base-image": base, "image-extra-packages": "htop"}
        try:
            world.daemon.start()
            wait_until(images.verified, "the first image is built", limit_s=2 * BUILD_LIMIT_S)
            images.wait(world.is_whole, "the fleet is whole")
            job = world.queue("command -v docker && command -v htop && command -v yarn")
            world.wait_completed(job)
            (kept,) = json.loads(world.daemon.cli("image", "logs", "--json").stdout)
            assert kept["reason"].startswith("built ")
            world.wait_sound()
        finally:
            images.leave()
