"""What the daemon says of its configuration, in the words of the charm's options."""

import re
import shlex

_OPTIONS_OF = {
    "name": "the unit's name",
    "token-file": "token-secret-id (or token)",
    "app.id": "github-app-client-id",
    "app.installation-id": "github-app-installation-id",
    "app.private-key-file": "github-app-private-key-secret-id",
    "http-proxy": "the model's juju-http-proxy",
    "https-proxy": "the model's juju-https-proxy",
    "no-proxy": "the model's juju-no-proxy",
    "ssh-debug": "the relation debug-ssh",
    "lxd.image": "lxd-image",
    "lxd.instance-type": "instance-type",
    "policy.mode": "policy-mode",
    "policy.document": "policy-document",
    "policy.package": "policy-package",
    "policy.package-index": "policy-package-index",
    "policy.package-links": "policy-package-links",
    "policy.url": "repo-policy-compliance-url",
    "policy.token-file": "repo-policy-compliance-token-secret-id (or repo-policy-compliance-token)",
}
"""What an operator of the charm sets where the daemon has another key; other keys are options."""

_FILE = re.compile(r"^(?:/\S*)?config\.yaml\S*: ")
_CREDENTIAL = re.compile(r"(?:/\S*/|\$CREDENTIALS_DIRECTORY/)(?:token|app\.pem|policy-token)\S*: ")
_DAEMONS_WORDS = (
    (re.compile(r"^/\S*/image\.sh\S* "), ""),
    (re.compile(r"^the document: "), ""),
    (re.compile(r", the alias of an image in LXD(?=, REMOTE)"), ""),
)
"""What names a file, or something that no option of the charm takes, and what stands for it."""
_LEAVE_OUT = re.compile(r"; leave it out$")
_EXAMPLE = re.compile(r"; for example `[\w-]+: (?P<value>[^`]*)`$")
_KEY = re.compile(r"^(?P<key>[a-z][a-z0-9-]*(?:\.[a-z0-9-]+)*): (?P<reason>.*)$", re.DOTALL)


def in_options(faults: str, app: str) -> str:
    """Say of what is wrong the first in one sentence, and how many more there are.

    Args:
        faults: as `check-config` prints them, one a line.
        app: the application's name, for the command that mends it.
    """
    lines = [line.strip() for line in faults.splitlines() if line.strip()]
    if not lines:
        return "the daemon refuses the configuration, and doesn't say why"
    more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
    return _translate(_FILE.sub("", lines[0]), app) + more


def _translate(line: str, app: str) -> str:
    found = _KEY.match(line)
    if found is None:
        return line
    reason = _CREDENTIAL.sub("", found["reason"])
    for words, ours in _DAEMONS_WORDS:
        reason = words.sub(ours, reason)
    reason, example = _EXAMPLE.sub("", reason), _EXAMPLE.search(reason)
    key, option = _option_of(found["key"])
    settable = re.fullmatch(r"[a-z-]+", option) and key not in {"image-script", "policy.document"}
    reason = _LEAVE_OUT.sub(f"; `juju config {app} --reset {option}`", reason)
    if not example or not settable or "{" in example["value"]:
        return f"{option}: {reason}"
    return f"{option}: {reason}; `juju config {app} {option}={shlex.quote(example['value'])}`"


def _option_of(key: str) -> tuple[str, str]:
    """Give the daemon's key without what stands in a list, and what the operator calls it."""
    parts = key.split(".")
    for length in range(len(parts), 0, -1):
        shorter = ".".join(parts[:length])
        if shorter in _OPTIONS_OF:
            return shorter, _OPTIONS_OF[shorter]
    while len(parts) > 1 and parts[-1].isdigit():
        parts.pop()  # the place in a list
    return ".".join(parts), ".".join(parts)
