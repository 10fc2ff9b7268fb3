"""A whole machine for a module's tests, one after another, and a GitHub beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from whole_machine import running_machine

from sandbox.github import SandboxGitHub
from sandbox.image import build_image
from tests.e2e.charm.site import ORGANISATION, REPOSITORY, TOKEN, Site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def site(tarball: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    image = build_image(tmp_path_factory.mktemp("image"), tarball, policy_tools=True).path
    with running_machine() as machine:
        github = SandboxGitHub(
            host=machine.host, port=0, org=ORGANISATION, token=TOKEN, tarball=tarball
        )
        with github:
            github.set_repository(REPOSITORY)
            github.protect(REPOSITORY, "main")
            yield Site(machine, github, image)
