"""What can go wrong with the machine, each told in one sentence for the operator."""


class MachineError(Exception):
    """The machine can't do what it was to; the message says what, why, and what would mend it."""


class ConfigRefused(Exception):
    """The daemon would not take a configuration; the message holds its own words, a line a fault.

    The one that it has is untouched, files and all.
    """


class VersionRefused(MachineError):
    """A new version of the daemon would not take what it is to run with; the former one stays.

    Attributes:
        version: the new one.
        stays: the one in use.
        faults: its own words, a line a fault.
    """

    def __init__(self, version: str, stays: str, faults: str) -> None:
        why = " ".join(faults.split())
        super().__init__(f"version {version} can't be used: {why}; {stays} stays in use")
        self.version = version
        self.stays = stays
        self.faults = faults
