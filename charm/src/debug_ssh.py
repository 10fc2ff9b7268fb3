"""The relation to tmate servers."""

from typing import Any

import ops


def servers(model: ops.Model) -> list[dict[str, Any]]:
    """Give the servers."""
    raise NotImplementedError
