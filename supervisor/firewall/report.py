"""What a firewall in place has done, for people."""

from collections.abc import Mapping
from typing import Any

from supervisor.firewall import names
from supervisor.firewall.live import Counted, LiveTable
from supervisor.firewall.policy import Policy

_NOTHING = Counted(0, 0)
DROPPED = {
    names.SPOOFED: "from an address that is not the guest's",
    names.UNHEARD: "to everybody",
    names.ROUTED: "by a way of the sender's choice",
    names.CROWDED: "too many connections at once",
    names.FLOODED: "too many connections to this host's services",
    names.QUESTIONS: "too many questions to this host's DNS",
    names.ANSWERS: "from denied addresses",
    names.UNASKED: "to runners that had not asked for it",
    names.CLOSED: "over IPv6, which is closed",
}


def details(policy: Policy, live: LiveTable, runners: Mapping[str, str]) -> dict[str, Any]:
    """Sum up what a table holds and has counted, as can be expressed in JSON.

    Args:
        policy: what it was made for.
        live: as the kernel lists it.
        runners: the runner of each hardware address, as far as that is known.
    """
    of_runners = {
        runners[address]: _count(count)
        for address, count in live.rejected.items()
        if address in runners
    }
    gone = [count for address, count in live.rejected.items() if address not in runners]
    return {
        "table": live.name,
        "bridge": policy.bridge,
        "denied": len(policy.denied),
        "allowed": len(policy.allowed) + len(policy.elsewhere),
        "services": [str(service) for service in policy.services],
        "rejected": _count(live.refused),
        "rejected_of": of_runners,
        "rejected_of_others": _count(
            Counted(sum(one.packets for one in gone), sum(one.bytes for one in gone))
        ),
        "dropped": {
            words: _count(live.counters.get(name, _NOTHING)) for name, words in DROPPED.items()
        },
    }


def _count(count: Counted) -> dict[str, int]:
    return {"packets": count.packets, "bytes": count.bytes}
