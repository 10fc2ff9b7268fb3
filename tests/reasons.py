"""Every reason that the product can show to a person, taken from its source.

A reason is a text of words that stands in the source: what an actor publishes, what an exception
says, why a runner is where it is. Most travel through variables, functions and messages before
anybody sees them, so they are collected where they are written. A text of words that is no reason
is found, too; those are left out by name, here, with why. Of the scripts that run in guests it is
what they fail or refuse a job with: the host shows that as the guest's words.

What differs from case to case, which an f-string, the log or the shell puts in, is `…`.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "supervisor"
HOLE = "…"

_COMMAND_LINE = "the command line and settings that the daemon itself makes for its policy service"
_CONFIGURATION = "refusals of the configuration: they name the key and say what would be right"
_PROGRAMMER = "slips of a programmer"
_REMOVAL = "said by `supervisor-cli uninstall`, with what to do"
_RULES = "rules, sets and their comments, which only `nft` lists"

MODULES_WITHOUT = {
    "cli/": "said once, to whoever has typed a command",
    "config/": _CONFIGURATION,
    "firewall/chains.py": _RULES,
    "firewall/closed.py": _RULES,
    "firewall/hooks.py": _RULES,
    "firewall/host.py": _RULES,
    "firewall/limits.py": _RULES,
    "firewall/link.py": _RULES,
    "firewall/names.py": _RULES,
    "firewall/networks.py": _CONFIGURATION,
    "firewall/rules.py": _RULES,
    "firewall/ruleset.py": _RULES,
    "firewall/verdict.py": _RULES,
    "firewall/world.py": _RULES,
    "gateways/journal_reader.py": "questions in SQL; what is wrong, `journal_schema.py` says",
    "github/credential.py": _CONFIGURATION,
    "github/scope.py": _CONFIGURATION,
    "guest/aproxy.py": _CONFIGURATION,
    "guest/document.py": "slips of whoever makes a guest's document: the daemon itself",
    "guest/network.py": "scripts and files for guests",
    "host/removal.py": _REMOVAL,
    "hosted_policy/__main__.py": _COMMAND_LINE,
    "images/base.py": _CONFIGURATION,
    "metrics": "what Prometheus shows beside each metric",
    "observation/log.py": "how lines of the log look",
    "policy/package.py": _CONFIGURATION,
    "policy_service/__main__.py": _COMMAND_LINE,
    "policy_service/settings.py": _COMMAND_LINE,
    "status/remedies.py": "what helps, which `status` says beside each problem",
    "supervision/backoff.py": _PROGRAMMER,
    "supervision/handlers.py": _PROGRAMMER,
    "supervision/specs.py": _PROGRAMMER,
    "text/sizes.py": _CONFIGURATION,
    "web/proxies.py": _CONFIGURATION,
    "work/registrations.py": _REMOVAL,
    "work/removal": _REMOVAL,
}
"""How the paths begin of modules without reasons, and what their texts are instead."""

NO_REASONS = {
    "names of things, which reasons put in": (
        "1 runner needs",
        "a FIFO",
        "a device",
        "a token that was used",
        "a wrong charm token",
        "actor of the image",
        "actor of upgrades",
        "application …",
        "branch protection",
        "counter …",
        "GitHub runner of …",
        "hard link",
        "instance …",
        "its charm token",
        "its mailbox",
        "its own token",
        "policy package",
        "policy …",
        "pull request",
        "runner application",
        "set …",
        "storage pool",
        "symbolic link",
        "the document",
        "the first image",
        "the first one",
        "unused IPv4 subnet",
        "virtual-machines or vm-disk",
        "virtual-machines, vm-disk or vm-memory",
        "… hours",
        "… minutes",
        "… runners need",
        "… storage pool …",
    ),
    "parts of sentences that stand in the runbook as a whole": (
        "before GitHub saw them online",
        "finished its trial",
        "has expired",
        "in …",
        "in … s",
        "of the host",
        "one of the scopes … (it has: …)",
        "phase: …",
        "reported that it is ready",
        "runner has",
        "runners in a row have",
        "since …",
        "soon after GitHub saw them online",
        "something that it does not name",
        "the guest to power off",
        "through the proxy …",
        "to be created",
        "to boot",
        "unverified image …",
        "was …",
        "without a comment",
        "… and … more",
        "… of … … …",
    ),
    "commands that help, which stand beside the reason": (
        "apt-get install --only-upgrade lxd",
        "apt-get install --only-upgrade nftables",
        "apt-get install nftables",
        "apt-get install …",
        "boot the kernel with apparmor=1 security=apparmor",
        "install the daemon's package again, by pip",
        "lets libvirt look at QEMU",
        "says by kvm-ok why there is no KVM",
        "has virt-host-validate, which says what keeps virtual machines from it",
        "shows and changes the profiles that confine virtual machines",
        "snap install lxd --channel=5.21/stable",
        "snap refresh lxd --channel=5.21/stable",
        "snap restart lxd",
        "snap start lxd",
        "supervisor-cli image logs",
        "supervisor-cli logs",
        "switch virtualisation on in the firmware, or in the host's own host; kvm-ok says more",
        "systemctl reload-or-restart …",
        "systemctl restart lxd",
        "systemctl start lxd",
        "upgrade it",
    ),
    "words of other programs, by which their errors are told apart": (
        'busy running a "create"',
        "Command not executable",
        "Command not found",
        "failed to set up loop device",
        "failed to setup loop device",
        "Input should",
        "No space left",
        "No such file or directory",
        "Operation not permitted",
        "Protocol not supported",
        "Unable to initialize Netlink",
        "unknown filesystem type",
        "Value error,",
    ),
    "said to whoever has given an order, and never again": (
        "can't list the logs: …",
        "can't read the logs: …",
        "no actor is called …",
        "no logs of … are kept; see `…`",
        "no runner is called …; see `supervisor-cli runners`",
        "the daemon refuses … …: …",
        (
            "ordered, and the … has not answered within … s: it is done when that comes to it, "
            "unless it is started anew before; `supervisor-cli tree` shows what it is in, and its "
            "restarts"
        ),
        "the … is being restarted; try again",
        "kind: must be one of …",
        "level: must be one of …",
        "since: must be a moment with its time zone: 2030-01-31T12:00:00+00:00",
        "whom: must be one of …",
        "… is being restarted; try again",
        "… runs a job; --force deletes it and loses the job",
        "…: must be a whole number from … to …",
    ),
    "notes of an order, which `supervisor-cli events` has": (
        "not told, as their actors are being restarted: …",
        "the configuration has been read again",
        "… is being restarted",
        "…, by force",
        "…: … of … runners at once",
    ),
    "why both sides are compared, or newer versions looked for, as the log says at level DEBUG": (
        "a runner will be succeeded by another",
        "GitHub can be asked again",
        "instance … appeared",
        "LXD's events were not heard before",
        "LXD's list could not be had",
        "the configuration has changed",
        "the fleet has started",
        "the interval",
        "to confirm what the last one suspected",
        "to learn what those taken over are doing",
        "to learn what … is doing",
        "to see whether it is online",
    ),
    "lines of the log that tell what is done": (
        "once more",
        "… times more",
    ),
    "lines of an image's build log": (
        "built … in … s",
        "out of date: …",
        "the builder does not shut down (…): it is ended",
        "verified, and called …",
    ),
    "said in the log of what was made in LXD and on the host": (
        "made anew",
        "made bridge … (…)",
        "made larger",
        "made profile …",
        "made project …",
        "made storage pool … (…)",
        "made storage pool … larger: …",
        "mounted again",
    ),
    "heads of requests and answers, commands, and a part of a query": (
        "… = excluded.…",
        "Basic …",
        "Bearer …",
        'Bearer realm="Authentication Required"',
        "Endpoint designed for testing that always fails",
        'exec "$@" 2>&1 </dev/null',
        "text/plain; charset=utf-8",
        "Unauthorized Access",
    ),
    "values of enumerations, which explain themselves to who reads the source": (
        "ask GitHub for a just-in-time configuration",
        "create the instance",
        "delete the instance",
        "delete the registration on GitHub",
        "end: nothing is left to do",
        "keep what the guest has logged",
        "look into the guest for a job that has begun",
        "some are yet to be read",
        "some can't be had any more, and others are read again",
        "some can't be understood",
        "start the instance",
        "write stage and job into the instance's configuration, take the secrets out",
    ),
    "what a server answers to a request that is none": ("Start line is invalid",),
    "slips of a programmer, in a part that is started anew": (
        "ask GitHub",
        "ask nothing",
        "metadata keys must start with user., these don't: …",
        "no answer to …",
        "the thread of … is gone",
        "this system has a root that has not ended",
        "… does not handle …",
    ),
}
"""Texts that are no reasons by themselves, by why."""

_END_OF_SCRIPT = re.compile(
    r"""(?:\b(?:fail|refuse|signal_line\ reason)\ +|\b(?:reason=|refused=|error\())  # how it begins
    (?P<quote>["'])(?P<text>(?:(?!(?P=quote)).)+)""",
    re.VERBOSE,
)
_PLACEHOLDER = re.compile(r"\{\}|%s")
"""Where the log puts something in."""
_QUOTE = "\0"
"""For a quote within quotes, which is four characters in a script."""
_VARIABLE = re.compile(r"\$(?:\{[^}]*\}|\w+)")
_SQL = re.compile(r"[A-Z]{4,} ")
_WORD = re.compile(rf"[^\W\d_][\w'/.:-]*|{HOLE}")


@cache
def collect(package: Path = PACKAGE) -> dict[str, str]:
    """Find all reasons, each with a place where it is written."""
    left_out = {text for texts in NO_REASONS.values() for text in texts}
    return {text: place for text, place in texts_of(package).items() if text not in left_out}


@cache
def texts_of(package: Path) -> dict[str, str]:
    """Find all texts of words of modules that have reasons, each with a place."""
    found: dict[str, str] = {}
    for read, suffix in ((texts_in, "py"), (texts_in_script, "sh")):
        for path in sorted(package.rglob(f"*.{suffix}")):
            name = path.relative_to(package).as_posix()
            if not name.startswith(tuple(MODULES_WITHOUT)):
                for line, text in read(path.read_text(encoding="utf-8")):
                    found.setdefault(text, f"{name}:{line}")
    return found


def texts_in_script(source: str) -> Iterator[tuple[int, str]]:
    """Find what a shell script, or a query of jq's in it, ends with, each with its line."""
    source = source.replace(r"'\''", _QUOTE)
    for end in _END_OF_SCRIPT.finditer(source):
        text = _one_hole(_VARIABLE.sub(HOLE, end["text"])).rstrip()
        text = text.replace(_QUOTE, "'")
        if _is_of_words(text):
            yield source.count("\n", 0, end.start()) + 1, text


def texts_in(source: str) -> Iterator[tuple[int, str]]:
    """Find the texts of words in a module's source, each with its line."""
    for node in _texts(ast.parse(source)):
        text = _one_hole(_template(node)).rstrip()
        if _is_of_words(text):
            yield node.lineno, text


def _template(node: ast.expr) -> str:
    """Write a text with `…` for all that is put in."""
    match node:
        case ast.Constant(value=str(text)):
            return _PLACEHOLDER.sub(HOLE, text)
        case ast.JoinedStr(values=parts):
            return "".join(map(_template, parts))
    return HOLE


def _one_hole(text: str) -> str:
    """Write what is put in side by side as one."""
    return re.sub(f"{HOLE}+", HOLE, text)


def _is_of_words(text: str) -> bool:
    """Tell sentences and their parts from names, queries, and what is only appended."""
    words = _WORD.findall(text)
    is_of_several = len(words) > 1 and set(words) != {HOLE} and " " in text
    begins_a_sentence = text[:1].isalnum() or text.startswith(HOLE)
    return is_of_several and begins_a_sentence and "\n" not in text and not _SQL.match(text)


def _texts(node: ast.AST) -> Iterator[ast.expr]:
    """Find the texts below a node, but for those that nobody is shown."""
    types = {getattr(node, name, None) for name in ("annotation", "returns")}
    children = (child for child in ast.iter_child_nodes(node) if child not in types)
    match node:
        case ast.Expr(value=ast.Constant()):  # documentation
            return
        case ast.Constant(value=str()):
            yield node
        case ast.JoinedStr(values=parts):
            yield node
            children = (part for part in parts if isinstance(part, ast.FormattedValue))
        case ast.Call(func=ast.Attribute(attr="debug" | "info")):
            return  # lines of the log that tell what is done, and not what is wrong
        case ast.Call(func=ast.Attribute(value=ast.Name(id="re"))):
            return  # patterns
    for child in children:
        yield from _texts(child)
