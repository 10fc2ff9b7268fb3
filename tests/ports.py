"""Ports for those who must be told theirs before they listen."""

import random
import socket

# Below what the kernel gives to whoever names none (32,768 to 60,999): another test's connection
# or server can't take it in between. Not reproducible, or tests side by side would draw the same.
_RANGE = range(10_240, 32_000)
_chance = random.SystemRandom()


def free_port(address: str = "127.0.0.1") -> int:
    """Return a port at which nobody listens."""
    while True:
        port = _chance.choice(_RANGE)
        try:
            socket.create_server((address, port)).close()
        except OSError:
            continue
        return port
