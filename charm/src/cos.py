"""The relation to the COS agent."""

import ops


def provide(charm: ops.CharmBase) -> None:
    """Write what the agent is to look at."""
    raise NotImplementedError
