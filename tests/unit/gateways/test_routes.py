from ipaddress import IPv4Network
from pathlib import Path

from supervisor.gateways.routes import routed

_HEAD = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT"


def test_networks_are_read_as_the_kernel_writes_them(tmp_path: Path) -> None:
    table = tmp_path / "route"
    lines = [
        _HEAD,
        "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0",
        "lxdbr0\t0070BB0A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0",
        "eth0\t05071EAC\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0",
    ]
    table.write_text("\n".join(lines) + "\n")
    assert routed(table) == (IPv4Network("10.187.112.0/24"), IPv4Network("172.30.7.5/32"))


def test_those_of_this_machine_can_be_read() -> None:
    assert all(network.prefixlen for network in routed())
