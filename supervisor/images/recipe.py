"""All that goes into an image, and its digest: the same inputs are the same image."""

import hashlib
import json
from dataclasses import asdict, dataclass, replace

from supervisor.guest import GuestParameters


@dataclass(frozen=True)
class Recipe:
    """What an image is built from.

    Attributes:
        base: the fingerprint of the base image.
        instance_type: LXD's word: `virtual-machine` or `container`.
        architecture: in GitHub's words.
        application: SHA-256 of the runner application's archive.
        packages: what is installed besides what every image has.
        script: the text of the operator's own script; empty for none.
        provisioning: the text of the script that does all this.
        needs_aproxy: whether an image without aproxy is of no use.
        runner_user: who the application belongs to.
        runner_home: its directory.
    """

    base: str
    instance_type: str
    architecture: str
    application: str
    provisioning: str
    packages: tuple[str, ...] = ()
    script: str = ""
    needs_aproxy: bool = False
    runner_user: str = GuestParameters.runner_user
    runner_home: str = GuestParameters.runner_home

    @property
    def digest(self) -> str:
        """SHA-256 of it all, in hexadecimal; neither the packages' order nor repeats count."""
        ordered = replace(self, packages=tuple(sorted(set(self.packages))))
        text = json.dumps(asdict(ordered), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()
