"""What can go wrong with the machine, each told in one sentence for the operator."""


class MachineError(Exception):
    """The machine can't do what it was to; the message says what, why, and what would mend it."""


class ConfigRefused(Exception):
    """The daemon would not take a configuration; the message holds its own words, a line a fault.

    The one that it has is untouched, files and all.
    """
