"""What the host's kernel lets filters see of the frames that its bridges carry."""

from pathlib import Path

_IPV6 = Path("/proc/sys/net/bridge/bridge-nf-call-ip6tables")


def sees_ipv6(switch: Path = _IPV6) -> bool:
    """Tell whether LXD can filter IPv6 at a bridge's ports: where this is off it refuses to.

    The switch is there only while the module br_netfilter is loaded.
    """
    try:
        return switch.read_text(encoding="ascii").strip() == "1"
    except OSError:
        return False
