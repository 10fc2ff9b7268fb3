#!/usr/bin/python3 -S
"""Juju's hook tools: one file under all their names. Each answers from the model, or refuses."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

# It runs as a script, by a link in the directory of tools; its package is where the link leads.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from charm_hooks.model import Model, Refused, changing, config

# Of Juju 3.6. One that is missing on the PATH ends the charm with a FileNotFoundError.
NAMES = (
    "action-fail",
    "action-get",
    "action-log",
    "action-set",
    "add-metric",
    "application-version-set",
    "close-port",
    "config-get",
    "credential-get",
    "goal-state",
    "is-leader",
    "juju-log",
    "juju-reboot",
    "k8s-raw-get",
    "k8s-raw-set",
    "k8s-spec-get",
    "k8s-spec-set",
    "leader-get",
    "leader-set",
    "network-get",
    "open-port",
    "opened-ports",
    "payload-register",
    "payload-status-set",
    "payload-unregister",
    "pod-spec-get",
    "pod-spec-set",
    "relation-get",
    "relation-ids",
    "relation-list",
    "relation-model-get",
    "relation-set",
    "resource-get",
    "secret-add",
    "secret-get",
    "secret-grant",
    "secret-ids",
    "secret-info-get",
    "secret-remove",
    "secret-revoke",
    "secret-set",
    "state-delete",
    "state-get",
    "state-set",
    "status-get",
    "status-set",
    "storage-add",
    "storage-get",
    "storage-list",
    "unit-get",
)

STATUSES = ("maintenance", "blocked", "waiting", "active")
LEVELS = ("TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
RESULT_KEY = re.compile(r"^[a-z0-9](([a-z0-9-.]+)?[a-z0-9])?$")
RESERVED_RESULTS = ("stdout", "stdout-encoding", "stderr", "stderr-encoding")
PORT = re.compile(r"^(\d+(-\d+)?(/(tcp|udp))?|icmp)$")
# Those that take a value after them; every other word with a dash is a switch.
VALUED = {"--format", "-r", "--relation", "-s", "--file", "--log-level", "-l", "--label"}
# Without this between one's arguments, a message that begins with a dash is taken for an option.
END_OF_OPTIONS = "--"


class Call:
    """One call of a tool: its words taken apart, and the model that it is answered from."""

    def __init__(self, tool: str, words: list[str], model: Model) -> None:
        self.tool, self.model = tool, model
        self.options: dict[str, str] = {}
        self.arguments: list[str] = []
        rest = list(words)
        while rest:
            word = rest.pop(0)
            if word == END_OF_OPTIONS:
                self.arguments += rest
                break
            if word == "-" or not word.startswith("-"):
                self.arguments.append(word)
                continue
            name, equals, value = word.partition("=")
            if not equals and name in VALUED:
                value = rest.pop(0)
            self.options[name] = value
        self.stdin = sys.stdin.read() if self.options.get("--file") == "-" else ""

    @property
    def app(self) -> str:
        """The application whose unit this is."""
        return str(self.model["unit"]).split("/")[0]

    def switch(self, name: str) -> bool:
        """Say whether a switch is on."""
        return name in self.options and self.options[name].lower() in {"", "true"}

    def argument(self, place: int = 0, otherwise: str = "") -> str:
        """Give an argument, or something else where it was not given."""
        return self.arguments[place] if len(self.arguments) > place else otherwise

    def action(self) -> dict[str, Any]:
        """Give the action that runs."""
        found: dict[str, Any] | None = self.model["action"]
        if found is None:
            raise Refused("not running an action")
        return found

    def relation(self) -> dict[str, Any]:
        """Give the relation that was named, or the one that the hook is for."""
        named = self.options.get("-r") or os.environ.get("JUJU_RELATION_ID", "")
        number = named.rpartition(":")[2]
        for known, relation in self.model["relations"].items():
            if number and known.rpartition(":")[2] == number:
                return dict(relation)
        raise Refused(f'invalid value "{named}" for option -r: relation not found')

    def secret(self) -> dict[str, Any]:
        """Give the secret that was named, if this application may read it."""
        named = self.argument().rpartition("/")[2].removeprefix("secret:")
        label = self.options.get("--label", "")
        for known, secret in self.model["secrets"].items():
            if known != named and (named or not label or secret["label"] != label):
                continue
            if self.app not in secret["grants"]:
                raise Refused("permission denied")
            if label:
                secret["label"] = label
            return dict(secret, id=known)
        raise Refused(f'secret "{named or label}" not found')


def chosen(call: Call, found: dict[str, Any], key: str) -> object:
    """Give one entry, or all where none or a dash was asked for."""
    return found if key in {"", "-"} else found.get(key)


def action_get(call: Call) -> object:
    """Give the action's parameters."""
    return chosen(call, call.action()["parameters"], call.argument())


def action_set(call: Call) -> None:
    """Take results: `key=value`, as Juju writes keys."""
    for word in call.arguments:
        key, equals, value = word.partition("=")
        if not equals:
            raise Refused(f'argument "{word}" must be of the form key...=value')
        if key in RESERVED_RESULTS:
            raise Refused(f'cannot set reserved action key "{key}"')
        if not all(RESULT_KEY.match(part) for part in key.split(".")):
            raise Refused(
                f'key "{key}" must start and end with lowercase alphanumeric, '
                "and contain only lowercase alphanumeric, hyphens and periods"
            )
        call.action()["results"][key] = value


def action_fail(call: Call) -> None:
    """End the action as failed."""
    call.action()["failure"] = call.argument(otherwise="action failed without reason given")


def action_log(call: Call) -> None:
    """Show a line to who runs the action."""
    call.action()["log"].append(call.argument())


def application_version_set(call: Call) -> None:
    """Take the version that `juju status` shows."""
    call.model["version"] = call.argument()


def config_get(call: Call) -> object:
    """Give the charm's options."""
    return chosen(call, config(call.model), call.argument())


def is_leader(call: Call) -> object:
    """Say whether this unit leads."""
    return call.model["leader"]


def juju_log(call: Call) -> None:
    """Take a line for Juju's log."""
    level = (call.options.get("--log-level") or call.options.get("-l") or "INFO").upper()
    if level not in LEVELS:
        raise Refused(f'unknown log level "{level}"')
    call.model["log"].append([level, " ".join(call.arguments)])


def juju_reboot(call: Call) -> None:
    """Ask for a reboot: after the hook, or at once, and then the hook's process is killed."""
    if call.model["action"] is not None:
        raise Refused("juju-reboot is not supported when running an action")
    call.model["reboot"] = "now" if call.switch("--now") else "after"
    if call.model["reboot"] == "now":
        os.kill(os.getppid(), signal.SIGKILL)


def network_get(call: Call) -> object:
    """Give the unit's address, the same for every endpoint."""
    address = call.model["address"]
    return {
        "bind-addresses": [
            {
                "mac-address": "",
                "interface-name": "eth0",
                "addresses": [{"hostname": "", "value": address, "cidr": f"{address}/32"}],
            }
        ],
        "egress-subnets": [f"{address}/32"],
        "ingress-addresses": [address],
    }


def _ports(call: Call) -> list[str]:
    for port in call.arguments:
        if not PORT.match(port):
            raise Refused(f'expected <port>[/<protocol>] or <from>-<to>[/<protocol>]; got "{port}"')
    return [port if "/" in port or port == "icmp" else f"{port}/tcp" for port in call.arguments]


def open_port(call: Call) -> None:
    """Open ports of this unit."""
    call.model["ports"] = sorted({*call.model["ports"], *_ports(call)})


def close_port(call: Call) -> None:
    """Close ports of this unit."""
    call.model["ports"] = sorted({*call.model["ports"]} - {*_ports(call)})


def opened_ports(call: Call) -> object:
    """Give the open ports."""
    return call.model["ports"]


def relation_ids(call: Call) -> object:
    """Give the relations of an endpoint."""
    name = call.argument(otherwise=os.environ.get("JUJU_RELATION", ""))
    return [known for known in call.model["relations"] if known.split(":")[0] == name]


def relation_list(call: Call) -> object:
    """Give the other side's units, or its application."""
    relation = call.relation()
    return relation["app"] if call.switch("--app") else relation["units"]


def relation_model_get(call: Call) -> object:
    """Give the other side's model; it is this one."""
    call.relation()
    return {"uuid": os.environ["JUJU_MODEL_UUID"]}


def relation_get(call: Call) -> object:
    """Give what somebody has written into a relation."""
    relation = call.relation()
    who = call.argument(1, os.environ.get("JUJU_REMOTE_UNIT", ""))
    if call.switch("--app"):
        who = who.split("/")[0]
    if who == call.app and not call.model["leader"]:
        raise Refused("permission denied")
    if who not in {call.app, call.model["unit"], relation["app"], *relation["units"]}:
        raise Refused(f'cannot read settings for "{who}" in relation: permission denied')
    return chosen(call, relation["data"].get(who, {}), call.argument())


def relation_set(call: Call) -> None:
    """Write into a relation: this unit's part, or the application's if it leads."""
    relation = call.relation()
    if call.switch("--app") and not call.model["leader"]:
        raise Refused("cannot write relation settings")
    given = dict(word.split("=", 1) for word in call.arguments)
    if call.stdin:
        given |= json.loads(call.stdin)
    settings = relation["data"].setdefault(
        call.app if call.switch("--app") else call.model["unit"], {}
    )
    for key, value in given.items():
        if not isinstance(value, str):
            raise Refused(f"cannot unmarshal {json.dumps(value)} into string")
        settings[key] = value
        if not value:
            del settings[key]


def secret_get(call: Call) -> object:
    """Give a secret's content: what was read before, or the newest by --refresh or --peek."""
    secret = call.secret()
    kept = call.model["secrets"][secret["id"]]
    newest = len(kept["revisions"])
    if call.switch("--refresh") or not kept["read"]:
        kept["read"] = newest
    revision = newest if call.switch("--peek") else kept["read"]
    return chosen(call, kept["revisions"][revision - 1], call.argument(1))


def state_get(call: Call) -> object:
    """Give what the charm keeps at the controller."""
    return chosen(call, call.model["state"], call.argument())


def state_set(call: Call) -> None:
    """Keep something at the controller."""
    call.model["state"] |= json.loads(call.stdin or "{}")
    call.model["state"] |= dict(word.split("=", 1) for word in call.arguments)


def state_delete(call: Call) -> None:
    """Keep something no longer."""
    call.model["state"].pop(call.argument(), None)


def status_get(call: Call) -> object:
    """Give the status of the unit or, to a leader, of the application."""
    if not call.switch("--application"):
        word, message = call.model["status"]["unit"]
        return {"status": word, "message": message, "status-data": {}}
    if not call.model["leader"]:
        raise Refused("finding application status: permission denied")
    word, message = call.model["status"]["application"]
    return {"application-status": {"status": word, "message": message, "units": {}}}


def status_set(call: Call) -> None:
    """Take the status of the unit or, from a leader, of the application."""
    word, message = call.argument(), call.argument(1)
    if word not in STATUSES:
        raise Refused(f'invalid status "{word}", expected one of {list(STATUSES)}')
    if call.switch("--application"):
        if not call.model["leader"]:
            raise Refused("setting application status: permission denied")
        call.model["status"]["application"] = [word, message]
        return
    call.model["status"]["unit"] = [word, message]
    call.model["statuses"].append([word, message])


def storage_list(call: Call) -> object:
    """Give the attached storages, all or of one name."""
    name = call.argument()
    return [known for known in call.model["storage"] if not name or known.split("/")[0] == name]


def storage_get(call: Call) -> object:
    """Give a storage's kind and where it is mounted."""
    named = call.options.get("-s") or os.environ.get("JUJU_STORAGE_ID", "")
    if named not in call.model["storage"]:
        raise Refused(f'invalid value "{named}" for option -s: storage not found')
    return chosen(call, call.model["storage"][named], call.argument())


def answer(call: Call) -> object:
    """Have a tool do its work.

    Raises:
        Refused: Juju would have refused it, or it is one that no test has needed yet.
    """
    tool = globals().get(call.tool.replace("-", "_"))
    if call.tool not in NAMES or tool is None:
        raise Refused(f"{call.tool} is not emulated")
    found: object = tool(call)
    return found


def check_context(model: Model) -> None:
    """Let only what a running hook has started call tools.

    Raises:
        Refused: The caller has no context, or that of a hook which has ended.
    """
    context = os.environ.get("JUJU_CONTEXT_ID", "")
    if not context:
        raise Refused("JUJU_CONTEXT_ID not set")
    if context != model["context"]:
        raise Refused(f'bad request: unknown context "{context}"')


def main() -> int:
    """Answer one call, and note it."""
    directory, tool = Path(sys.argv[0]).parent, Path(sys.argv[0]).name
    try:
        with changing(directory.parent / "model.json") as model:
            check_context(model)
            call = Call(tool, sys.argv[1:], model)
            model["calls"].append([tool, sys.argv[1:], call.stdin])
            found = answer(call)
    except Refused as refused:
        print(f"ERROR {refused}", file=sys.stderr)
        return 1
    if call.options.get("--format") == "json":
        print(json.dumps(found))
    elif found is not None:
        print(found if isinstance(found, str) else json.dumps(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
