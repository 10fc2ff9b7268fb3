"""What the programs that the daemon starts are told of its environment."""

import os


def clean() -> dict[str, str]:
    """Give where programs are, and nothing else of ours: a proxy's password may be in it.

    They speak English then, as some of their words are looked for.
    """
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
