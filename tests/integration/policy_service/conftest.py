"""A GitHub of the test's own, and the service that asks it: one of each for a whole module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from policy_stand import GitHub, Service, running, serving_github, settings_for


@pytest.fixture(scope="module")
def module_github() -> Iterator[GitHub]:
    with serving_github() as made:
        yield made


@pytest.fixture
def github(module_github: GitHub) -> Iterator[GitHub]:
    """The module's GitHub, with everything in order."""
    module_github.reset()
    yield module_github
    module_github.released.set()


@pytest.fixture(scope="module")
def module_service(
    module_github: GitHub, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    path = tmp_path_factory.mktemp("service")
    options = ("--workers", "4", "--check-seconds", "5")
    with running(settings_for(module_github.url, path), path, *options) as made:
        yield made


@pytest.fixture
def service(github: GitHub, module_service: Service) -> Service:
    """The module's service, with nothing decided yet."""
    (module_service.directory / "decisions.jsonl").unlink(missing_ok=True)
    return module_service
