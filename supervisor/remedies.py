"""What to do about what is wrong: for each problem of `status` a command, or where to read on."""

import re
from dataclasses import dataclass

_RESTART = "`systemctl restart github-runner-supervisor`; runners and their jobs stay"
_LXD = "see whether `lxc list` answers; if not, restart LXD: docs/runbook.md#lxd"


@dataclass(frozen=True)
class Remedy:
    """What helps against problems of a kind.

    Attributes:
        problem: what these look like: a regular expression, found in the problem.
        words: what to do. Groups of the expression stand in it by their names, in braces.
    """

    problem: re.Pattern[str]
    words: str


def _remedies(*told: tuple[str, str]) -> tuple[Remedy, ...]:
    return tuple(Remedy(re.compile(problem), words) for problem, words in told)


REMEDIES = _remedies(
    # Of any part
    (r"takes effect only after a restart of the daemon", _RESTART),
    (
        r"^configuration: ",
        (
            "set it right, then `systemctl reload github-runner-supervisor`: "
            "docs/runbook.md#configuration-and-start"
        ),
    ),
    (
        r"^the supervision tree is not up",
        "it comes up by itself; `journalctl -u github-runner-supervisor` says why it did not",
    ),
    (
        r"^[\w-]+: is stuck in ",
        f"`supervisor-cli tree` says for how long; if it stays so, {_RESTART}",
    ),
    (
        r"^[\w-]+: is (down|waiting|restarting|starting|stopping|terminated)\b",
        "it is started again by itself; `journalctl -u github-runner-supervisor` says why it ended",
    ),
    # GitHub
    (
        r"(expires in|has expired).*set another",
        "put another credential in the place of this one: docs/runbook.md#github",
    ),
    (
        r"hourly limit|asks for a pause",
        "wait: it passes by itself; an App has higher limits than a token: docs/github.md#limits",
    ),
    (
        r"wrong, expired or revoked|needs the permission|can't be read: .*token|^token-file: ",
        "give the daemon a credential that may do this: docs/runbook.md#github",
    ),
    (
        r"https?-proxy|through the proxy",
        "set the proxy right: docs/runbook.md#github",
    ),
    (
        r"^tokens: |GitHub can't be reached|GitHub answered|github-url",
        (
            "see https://www.githubstatus.com and the way there; it is tried again by itself: "
            "docs/runbook.md#github"
        ),
    ),
    # LXD
    (r"^events: |LXD hangs|is LXD running|no such socket|could not list the instances", _LXD),
    (
        r"LXD has no image|Image not provided|[Ii]mage alias",
        "give LXD that image, or name another one as lxd.image: docs/runbook.md#image",
    ),
    # The parts that a runner needs
    (
        r"^image: ",
        (
            "`supervisor-cli image logs` has what the last build said, "
            "`supervisor-cli image build` tries again: docs/runbook.md#image"
        ),
    ),
    (
        r"storage pool|out of disk space|no space left|^storage: |runner-storage",
        "make room, or name another pool: docs/runbook.md#storage",
    ),
    (r"install nftables", "`apt-get install nftables`; it is used by itself then"),
    (
        r"^(firewall|filters): |firewall",
        "`supervisor-cli firewall` looks again and says more: docs/runbook.md#firewall",
    ),
    (
        r"^policy: |policy service",
        "`supervisor-cli policy` says more: docs/runbook.md#policy",
    ),
    (
        r"^upgrades: |no verified runner application",
        (
            "`supervisor-cli upgrades` says more, `supervisor-cli upgrade --now` tries again: "
            "docs/runbook.md#upgrades"
        ),
    ),
    (
        r"^signals: ",
        "free the address, or see to the network's: docs/runbook.md#signals",
    ),
    (
        r"^control: ",
        "see to the directory of `control.socket`: docs/runbook.md#the-control-socket",
    ),
    # The fleet and its runners
    (
        r"^fleet: .*runners? (has|in a row have) failed",
        (
            "`supervisor-cli logs` has what their guests said; it is tried again by itself: "
            "docs/runbook.md#fleet"
        ),
    ),
    (
        r"^fleet: ",
        (
            "`supervisor-cli runners` and `supervisor-cli tree` say who waits for what: "
            "docs/runbook.md#fleet"
        ),
    ),
    (
        r"removal failed",
        (
            "it is tried again by itself; LXD's own words say what hinders it: "
            "docs/runbook.md#runners"
        ),
    ),
    (r"^(https?://|[\w.-]+/[\w.-]+: )", "see docs/github.md#moving-to-another-place"),
    (
        r"^(?P<runner>[\w.-]+): ",
        (
            "another takes its place by itself; `supervisor-cli logs {runner}` has what its guest "
            "said, if it was kept: docs/runbook.md#runners"
        ),
    ),
)
"""The first one whose expression is found is it."""

OTHERWISE = Remedy(re.compile(""), "look for the words in docs/runbook.md#reasons")
"""Against a problem of no known kind."""


def find(problem: str) -> Remedy:
    """Find the remedy against a problem.

    Args:
        problem: as `status` names it.
    """
    return next((one for one in REMEDIES if one.problem.search(problem)), OTHERWISE)


def remedy_of(problem: str) -> str:
    """Say what to do about a problem.

    Args:
        problem: as `status` names it.
    """
    remedy = find(problem)
    found = remedy.problem.search(problem)
    return remedy.words.format(**found.groupdict() if found else {})
