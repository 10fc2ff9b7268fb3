"""Where the kernel enters the table."""

from supervisor.firewall.rules import Chain, Rule


def prerouting(bridge: str) -> Chain:
    """Take what comes from guests to the chain `guest`, before any NAT."""
    return Chain(
        "prerouting",
        (Rule(f'iifname "{bridge}" goto guest', "what comes from guests, before any NAT"),),
        hook="prerouting",
        priority=-150,  # mangle: connections are known (-200), destinations as sent (-100)
    )


def forward(*rules: Rule) -> Chain:
    """Take what this host forwards to rules, after NAT."""
    # Before filter (0), where others accept and count.
    return Chain("forward", rules, hook="forward", priority=-10)


def arrival(bridge: str) -> Chain:
    """Take what guests have sent to this host to the chain `arrived`, after NAT."""
    return Chain(
        "input",
        (Rule(f'iifname "{bridge}" goto arrived', "what has reached this host, after NAT"),),
        hook="input",
        priority=-10,
    )
