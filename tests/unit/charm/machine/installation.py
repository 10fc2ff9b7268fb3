"""A machine that the charm has installed, configured or upgraded, in emulation."""

from typing import Any

from emulated_host import HostStand
from machine import Applied, Wanted
from machine.machine import Machine

DOCUMENT: dict[str, Any] = {"name": "app-0", "credentials": ["token"], "virtual-machines": 1}
TOKEN = {"token": "ghp_first"}
PRESENT = Wanted(DOCUMENT, TOKEN)


def installed(stand: HostStand) -> Machine:
    machine = stand.machine()
    machine.claim("app/0")
    machine.install(lxd_channel="5.21/stable", progress=lambda _: None)
    return machine


def running(stand: HostStand) -> Machine:
    machine = installed(stand)
    apply(machine)
    return machine


def apply(
    machine: Machine,
    document: dict[str, Any] | None = None,
    credentials: dict[str, str] | None = None,
    script: str = "",
) -> Applied:
    wanted = Wanted(document or DOCUMENT, credentials or TOKEN, script)
    return machine.apply(wanted, environment={})


def upgrade(stand: HostStand, wanted: Wanted | None = PRESENT) -> Machine:
    machine = stand.machine()
    machine.upgrade(
        lxd_channel="5.21/stable", wanted=wanted, environment={}, progress=lambda _: None
    )
    return machine
