from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from loguru import logger

from supervisor.observation import log


@pytest.fixture
def lines(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    monkeypatch.setattr(log, "_gate", log._gate)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers[:] = []  # what is there would be closed
    log.configure("DEBUG")
    yield lambda: [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    logger.remove()
    root.handlers[:] = handlers
    root.setLevel(level)
