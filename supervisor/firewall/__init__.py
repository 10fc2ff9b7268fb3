"""What guests may reach, as plain data, as a ruleset of nftables, and as a model of both."""
