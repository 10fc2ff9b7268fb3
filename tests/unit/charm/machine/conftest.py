import os
from pathlib import Path

import pytest
from emulated_host import HostStand


@pytest.fixture(autouse=True)
def no_power_is_lost_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """What would survive that no test can see, and it costs most of the time."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def stand(tmp_path: Path) -> HostStand:
    return HostStand.at(tmp_path)
