"""What tests of every kind share."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest
from file_turns import FileTurns, order
from hypothesis import settings
from shaken import pytest_addoption, pytest_configure
from unprivileged import open_python

from sandbox.private_lxd import PrivateLxd, private_lxd
from scripts import pack_charm
from supervisor.gateways.lxd import Lxd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from xdist.remote import Producer

__all__ = ["pytest_addoption", "pytest_configure"]

# How long one example takes says nothing on a machine that does other things as well.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_collection() -> None:
    """Have nobody look for garbage among what is collected: all of it stays to the end."""
    gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> FileTurns | None:
    """Take turns as is said there, where a file is to stay in one worker."""
    return FileTurns(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.fixture(scope="session")
def real_lxd() -> Iterator[PrivateLxd]:
    """A real LXD for the whole run, with project, pool, network and the tiny image.

    Who asks for it fails, never skips, where there is no LXD.
    """
    with private_lxd() as made:
        yield made


@pytest.fixture(scope="session")
def python_for_all() -> Iterator[Path]:
    """A Python with the package that any user can run."""
    with open_python() as made:
        yield made


@pytest.fixture
def lxd(real_lxd: PrivateLxd) -> Iterator[Lxd]:
    """The gateway to the real LXD; instances a test leaves are deleted after it."""
    gateway = Lxd(real_lxd.endpoint)
    yield gateway
    for instance in gateway.instances():
        gateway.delete(instance.name, limit_s=30)


@pytest.fixture(scope="session")
def packed_charm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The charm of this tree, packed for this machine's base."""
    return pack_charm.pack(tmp_path_factory.mktemp("packed"))
