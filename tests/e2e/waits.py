"""Waits for what real daemons and guests do."""

from functools import partial

from waiting import eventually

LIMIT_S = 60.0
"""How long to wait for something that takes seconds on an idle machine."""

wait_until = partial(eventually, limit_s=LIMIT_S)
