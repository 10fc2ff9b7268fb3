"""systemd's notification protocol: https://www.freedesktop.org/software/systemd/man/sd_notify.html."""

import os
import socket


def notify(*assignments: str) -> bool:
    """Tell systemd, if it is there and wants to know.

    Args:
        assignments: such as `READY=1` or `STATUS=…`.

    Returns:
        Whether it was told.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]  # an abstract socket
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.connect(address)
            sock.sendall("\n".join(assignments).encode())
    except OSError:
        return False
    return True


def watchdog_interval_s() -> float | None:
    """Say how often systemd wants a sign of life: half of its limit; None if it wants none."""
    limit_us = os.environ.get("WATCHDOG_USEC", "")
    wanted_of = os.environ.get("WATCHDOG_PID", str(os.getpid()))
    if not limit_us.isdecimal() or int(limit_us) == 0 or wanted_of != str(os.getpid()):
        return None
    return int(limit_us) / 1e6 / 2
