"""What to do about what is wrong: for each problem of `status` a command, or where to read on."""

from collections.abc import Mapping

from supervisor.causes import Cause
from supervisor.status.problems import CONFIGURATION, CREDENTIAL, FORMER_PLACE, RUNNER, Problem

_RESTART = "`systemctl restart github-runner-supervisor`; runners and their jobs stay"
_LXD = "see whether `lxc list` answers; if not, restart LXD: docs/runbook.md#lxd"
_GITHUB = (
    "see https://www.githubstatus.com and the way there; it is tried again by itself: "
    "docs/runbook.md#github"
)
_ANOTHER_CREDENTIAL = "give the daemon a credential that may do this: docs/runbook.md#github"
_FIREWALL = "`supervisor-cli firewall` looks again and says more: docs/runbook.md#firewall"
_STORAGE = "make room, or name another pool: docs/runbook.md#storage"
_CONFIGURATION = (
    "set it right, then `systemctl reload github-runner-supervisor`: "
    "docs/runbook.md#configuration-and-start"
)
_EXPIRING = "put another credential in the place of this one: docs/runbook.md#github"
_ACTOR = "it is started again by itself; `journalctl -u github-runner-supervisor` says why it ended"

BY_CAUSE: Mapping[Cause, str] = {
    Cause.GITHUB_UNAVAILABLE: _GITHUB,
    Cause.GITHUB_REFUSED: _GITHUB,
    Cause.PROXY_FAILED: "set the proxy right: docs/runbook.md#github",
    Cause.CREDENTIAL_REJECTED: _ANOTHER_CREDENTIAL,
    Cause.CREDENTIAL_EXPIRING: _EXPIRING,
    Cause.CREDENTIAL_UNREADABLE: _ANOTHER_CREDENTIAL,
    Cause.PERMISSION_MISSING: _ANOTHER_CREDENTIAL,
    Cause.RATE_LIMITED: (
        "wait: it passes by itself; an App has higher limits than a token: docs/github.md#limits"
    ),
    Cause.LXD_UNAVAILABLE: _LXD,
    Cause.LXD_INCOMPLETE: (
        "`supervisor-cli prepare-lxd` makes what is missing there: docs/removal.md#what-is-made"
    ),
    Cause.IMAGE_MISSING: (
        "give LXD that image, or name another one as lxd.image: docs/runbook.md#image"
    ),
    Cause.NO_SPACE: _STORAGE,
    Cause.NFTABLES_MISSING: "`apt-get install nftables`; it is used by itself then",
    Cause.CONFIGURATION_REFUSED: _CONFIGURATION,
    Cause.CONFIGURATION_IN_PART: _RESTART,
    Cause.RESTART_REQUIRED: _RESTART,
    Cause.ACTOR_STUCK: f"`supervisor-cli tree` says for how long; if it stays so, {_RESTART}",
    Cause.ACTOR_DOWN: _ACTOR,
    Cause.RUNNERS_FAILING: (
        "`supervisor-cli logs` has what their guests said; it is tried again by itself: "
        "docs/runbook.md#fleet"
    ),
    Cause.REMOVAL_FAILED: (
        "it is tried again by itself; LXD's own words say what hinders it: docs/runbook.md#runners"
    ),
}
"""Against causes for which it makes no difference what is in trouble."""

OTHERWISE: Mapping[str, str] = {
    "tokens": _GITHUB,
    "events": _LXD,
    "image": (
        "`supervisor-cli image logs` has what the last build said, "
        "`supervisor-cli image build` tries again: docs/runbook.md#image"
    ),
    "storage": _STORAGE,
    "firewall": _FIREWALL,
    "filters": _FIREWALL,
    "policy": "`supervisor-cli policy` says more: docs/runbook.md#policy",
    "upgrades": (
        "`supervisor-cli upgrades` says more, `supervisor-cli upgrade --now` tries again: "
        "docs/runbook.md#upgrades"
    ),
    "signals": "free the address, or see to the network's: docs/runbook.md#signals",
    "control": "see to the directory of `control.socket`: docs/runbook.md#the-control-socket",
    "fleet": (
        "`supervisor-cli runners` and `supervisor-cli tree` say who waits for what: "
        "docs/runbook.md#fleet"
    ),
    CONFIGURATION: _CONFIGURATION,
    CREDENTIAL: _EXPIRING,
    FORMER_PLACE: "see docs/github.md#moving-to-another-place",
    RUNNER: (
        "another takes its place by itself; `supervisor-cli logs {runner}` has what its guest "
        "said, if it was kept: docs/runbook.md#runners"
    ),
}
"""Against other causes, by what is in trouble; `{runner}` stands for a runner's name."""

ELSE = "look for the words in docs/runbook.md#reasons"
"""Against what nothing is known of."""


def remedy_of(problem: Problem) -> str:
    """Say what to do about a problem."""
    words = BY_CAUSE.get(problem.cause) or OTHERWISE.get(problem.of, ELSE)
    return words.format(runner=problem.runner)
