"""A unit of a packed charm: what an operator and Juju's agent do to it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
import zipfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from charm_hooks import model as models
from charm_hooks import tools

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from charm_hooks.model import Model

MODEL_UUID = "0a1d7b3e-5c0f-4a37-8a52-6a5d8f6a7c11"
JUJU_VERSION = "3.6.14"
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin"
# Juju's agent reads the charm's YAML itself; here it is read by the package that the charm brings.
READ_CHARM = """
import json, pathlib, sys, yaml
found = {}
for name in ("metadata", "config", "actions"):
    path = pathlib.Path(name + ".yaml")
    found[name] = yaml.safe_load(path.read_text()) if path.exists() else {}
json.dump(found, sys.stdout)
"""


class Status(NamedTuple):
    """What `juju status` shows of a unit."""

    word: str
    message: str


@dataclass(frozen=True)
class Run:
    """What came of one run of `dispatch`.

    Attributes:
        code: Its exit code; minus the signal if one ended it.
        output: What it wrote, both streams.
        calls: The hook tools that it called, with their arguments.
        statuses: Those that it set, in order.
        log: The lines that it wrote into Juju's log, each with its level.
        reboot: `now` or `after` if it asked for one.
    """

    code: int
    output: str
    calls: list[list[Any]] = field(default_factory=list)
    statuses: list[Status] = field(default_factory=list)
    log: list[tuple[str, str]] = field(default_factory=list)
    reboot: str = ""


@dataclass(frozen=True)
class ActionRun(Run):
    """What came of an action; `failure` is empty where it went well."""

    results: dict[str, str] = field(default_factory=dict)
    failure: str = ""
    messages: list[str] = field(default_factory=list)


class Kill(NamedTuple):
    """When a run is ended by force."""

    limit_s: float
    when: Callable[[], bool] | None = None


class JujuUnit:
    """A deployed unit in a directory, laid out as Juju's agent has it.

    Args:
        directory: Where `deploy` made it. Several objects, also of several processes, may use it.
        inside: A command that hooks are run by, such as `unshare --mount …`.
    """

    def __init__(self, directory: Path, *, inside: tuple[str, ...] = ()) -> None:
        self.directory = directory
        self.inside = inside
        self.path = directory / "model.json"
        self.name = str(models.read(self.path)["unit"])

    @classmethod
    def deploy(
        cls,
        directory: Path,
        charm: Path,
        *,
        name: str = "github-runner/0",
        inside: tuple[str, ...] = (),
    ) -> JujuUnit:
        """Unpack a charm and make the unit; no hook has run yet."""
        (directory / "tools").mkdir(parents=True)
        for tool in tools.NAMES:
            (directory / "tools" / tool).symlink_to(Path(tools.__file__).resolve())
        models.write(directory / "model.json", models.fresh(name, {}))
        unit = cls(directory, inside=inside)
        unit.upgrade(charm)
        return unit

    @property
    def charm_dir(self) -> Path:
        """Where the charm's files are."""
        return self.directory / f"unit-{self.name.replace('/', '-')}" / "charm"

    def upgrade(self, charm: Path) -> None:
        """Put another revision's files in place as Juju does; what the charm made remains."""
        with zipfile.ZipFile(charm) as packed:
            names = {entry.filename for entry in packed.infolist()}
            with models.changing(self.path) as model:
                for gone in set(model["charm"].get("files", [])) - names:
                    (self.charm_dir / gone).unlink(missing_ok=True)
                for entry in packed.infolist():
                    target = Path(packed.extract(entry, self.charm_dir))
                    target.chmod(entry.external_attr >> 16 & 0o777)
                model["charm"] = {"files": sorted(names), **self._read_charm()}

    def _read_charm(self) -> dict[str, Any]:
        (packages,) = self.charm_dir.glob("venv/lib/python*/site-packages")
        done = subprocess.run(
            [sys.executable, "-c", READ_CHARM],
            cwd=self.charm_dir,
            env={"PYTHONPATH": str(packages), "PATH": SYSTEM_PATH},
            stdout=subprocess.PIPE,
            check=True,
        )
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    # What the operator does. No hook runs by itself: the test says which, and when.

    def set_config(self, values: Mapping[str, object]) -> None:
        """Set options, as `juju config` does."""
        with models.changing(self.path) as model:
            checked = {name: models.option_value(model, name, values[name]) for name in values}
            model["config"].update(checked)

    def reset_config(self, *names: str) -> None:
        """Set options back to their defaults."""
        with models.changing(self.path) as model:
            for name in names:
                model["config"].pop(name, None)

    def add_secret(self, content: Mapping[str, str], *, granted: bool = True) -> str:
        """Add a user's secret, give its URI."""
        name = uuid.uuid4().hex[:20]
        grants = [self.name.split("/")[0]] if granted else []
        with models.changing(self.path) as model:
            model["secrets"][name] = {
                "revisions": [dict(content)],
                "grants": grants,
                "label": "",
                "read": 0,
            }
        return f"secret:{name}"

    def update_secret(self, uri: str, content: Mapping[str, str]) -> None:
        """Give a secret new content; `secret-changed` is what Juju would run then."""
        with models.changing(self.path) as model:
            model["secrets"][uri.removeprefix("secret:")]["revisions"].append(dict(content))

    def grant(self, uri: str) -> None:
        """Let the application read a secret."""
        with models.changing(self.path) as model:
            model["secrets"][uri.removeprefix("secret:")]["grants"] = [self.name.split("/")[0]]

    def revoke(self, uri: str) -> None:
        """Let the application read a secret no longer."""
        with models.changing(self.path) as model:
            model["secrets"][uri.removeprefix("secret:")]["grants"] = []

    def remove_secret(self, uri: str) -> None:
        """Remove a secret."""
        with models.changing(self.path) as model:
            del model["secrets"][uri.removeprefix("secret:")]

    def attach_storage(self, name: str, location: Path) -> str:
        """Attach a file system that stands at a place, give the storage's id."""
        with models.changing(self.path) as model:
            number = len(model["storage"])
            model["storage"][f"{name}/{number}"] = {
                "kind": "filesystem",
                "location": str(location),
            }
        return f"{name}/{number}"

    def detach_storage(self, storage: str) -> None:
        """Take a storage away, after its `storage-detaching`."""
        with models.changing(self.path) as model:
            del model["storage"][storage]

    def relate(self, endpoint: str, app: str, data: Mapping[str, Mapping[str, str]]) -> str:
        """Relate to an application; `data` is by its units' names and its own. Give the id."""
        with models.changing(self.path) as model:
            relation = f"{endpoint}:{len(model['relations'])}"
            model["relations"][relation] = {
                "app": app,
                "units": [who for who in data if "/" in who],
                "data": {who: dict(settings) for who, settings in data.items()},
            }
        return relation

    def unrelate(self, relation: str) -> None:
        """Take a relation away, after its `relation-broken`."""
        with models.changing(self.path) as model:
            del model["relations"][relation]

    def relation_data(self, relation: str, who: str) -> dict[str, str]:
        """Give what somebody has written into a relation."""
        found: dict[str, str] = self.model["relations"][relation]["data"].get(who, {})
        return found

    def set_proxies(self, **proxies: str) -> None:
        """Set the model's proxies by Juju's words: http, https, ftp, no."""
        with models.changing(self.path) as model:
            model["proxies"] = proxies

    def set_leader(self, *, leads: bool) -> None:
        """Make this unit the leader, or not."""
        with models.changing(self.path) as model:
            model["leader"] = leads

    # What `juju status`, `juju debug-log` and the agent see.

    @property
    def model(self) -> Model:
        """All that Juju knows."""
        return models.read(self.path)

    @property
    def status(self) -> Status:
        """The unit's status; `error` after a hook that failed."""
        return Status(*self.model["status"]["unit"])

    @property
    def version(self) -> str:
        """The workload's version."""
        return str(self.model["version"])

    @property
    def log(self) -> list[tuple[str, str]]:
        """Juju's log, each line with its level."""
        return [(level, line) for level, line in self.model["log"]]

    # What Juju's agent does.

    def dispatch(
        self,
        event: str,
        *,
        limit_s: float = 600,
        kill_when: Callable[[], bool] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Run:
        """Run a hook by the charm's own `dispatch`.

        What is buffered until a hook's end, relations' data and ports, is forgotten if it fails.

        Args:
            event: The hook's name with dashes, such as `config-changed`.
            limit_s: After so many seconds it is killed, with all that it has started.
            kill_when: Asked all the time; when it says so, it is killed likewise.
            environment: What only this event has; see `storage_event` and the others.
        """
        hook = {"JUJU_DISPATCH_PATH": f"hooks/{event}", "JUJU_HOOK_NAME": event}
        before, run = self._run({**hook, **(environment or {})}, event, Kill(limit_s, kill_when))
        if run.code:
            with models.changing(self.path) as model:
                model["relations"], model["ports"] = before["relations"], before["ports"]
                if not run.reboot:
                    model["status"]["unit"] = ["error", f'hook failed: "{event}"']
        return run

    def storage_event(self, storage: str, what: str, **options: Any) -> Run:
        """Run a storage's hook: `attached` or `detaching`."""
        found = self.model["storage"][storage]
        return self.dispatch(
            f"{storage.partition('/')[0]}-storage-{what}",
            environment={
                "JUJU_STORAGE_ID": storage,
                "JUJU_STORAGE_LOCATION": found["location"],
                "JUJU_STORAGE_KIND": found["kind"],
            },
            **options,
        )

    def relation_event(self, relation: str, what: str, unit: str = "", **options: Any) -> Run:
        """Run a relation's hook: `created`, `joined`, `changed`, `departed`, `broken`."""
        endpoint = relation.partition(":")[0]
        return self.dispatch(
            f"{endpoint}-relation-{what}",
            environment={
                "JUJU_RELATION": endpoint,
                "JUJU_RELATION_ID": relation,
                "JUJU_REMOTE_APP": self.model["relations"][relation]["app"],
                "JUJU_REMOTE_UNIT": unit,
                "JUJU_DEPARTING_UNIT": unit if what == "departed" else "",
            },
            **options,
        )

    def secret_changed(self, uri: str, **options: Any) -> Run:
        """Run the hook that follows a secret's new content."""
        label = self.model["secrets"][uri.removeprefix("secret:")]["label"]
        found = {"JUJU_SECRET_ID": uri, "JUJU_SECRET_LABEL": label}
        return self.dispatch("secret-changed", environment=found, **options)

    def run_action(
        self, action: str, parameters: Mapping[str, Any] | None = None, *, limit_s: float = 600
    ) -> ActionRun:
        """Run an action.

        Raises:
            Refused: The charm has no such action, or it does not take these parameters.
        """
        with models.changing(self.path) as model:
            given = models.parameters(model, action, dict(parameters or {}))
            model["action"] = {"parameters": given, "results": {}, "failure": "", "log": []}
        identity = str(uuid.uuid4())
        environment = {
            "JUJU_DISPATCH_PATH": f"actions/{action}",
            "JUJU_HOOK_NAME": "",
            "JUJU_ACTION_NAME": action,
            "JUJU_ACTION_UUID": identity,
            "JUJU_ACTION_TAG": f"action-{identity}",
        }
        _, run = self._run(environment, action, Kill(limit_s))
        with models.changing(self.path) as model:
            done, model["action"] = model["action"], None
        failure = done["failure"] or (f"exit status {run.code}" if run.code else "")
        return ActionRun(
            **vars(run), results=done["results"], failure=failure, messages=done["log"]
        )

    def environment(self, context: str) -> dict[str, str]:
        """Give what Juju has in every hook's environment, and nothing of this process's own."""
        tools_dir = self.directory / "tools"
        proxies = self.model["proxies"]
        return {
            "APT_LISTCHANGES_FRONTEND": "none",
            "DEBIAN_FRONTEND": "noninteractive",
            "LANG": "C.UTF-8",
            "TERM": "tmux-256color",
            "PATH": f"{tools_dir}:{SYSTEM_PATH}",
            "CHARM_DIR": str(self.charm_dir),
            "CLOUD_API_VERSION": "",
            "JUJU_AGENT_SOCKET_ADDRESS": "@" + str(self.directory / "agent.socket"),
            "JUJU_AGENT_SOCKET_NETWORK": "unix",
            "JUJU_API_ADDRESSES": "127.0.0.1:17070",
            "JUJU_AVAILABILITY_ZONE": "",
            "JUJU_CHARM_DIR": str(self.charm_dir),
            "JUJU_CHARM_FTP_PROXY": proxies.get("ftp", ""),
            "JUJU_CHARM_HTTPS_PROXY": proxies.get("https", ""),
            "JUJU_CHARM_HTTP_PROXY": proxies.get("http", ""),
            "JUJU_CHARM_NO_PROXY": proxies.get("no", ""),
            "JUJU_CONTEXT_ID": context,
            "JUJU_MACHINE_ID": "0",
            "JUJU_METER_INFO": "not set",
            "JUJU_METER_STATUS": "AMBER",
            "JUJU_MODEL_NAME": "ci",
            "JUJU_MODEL_UUID": MODEL_UUID,
            "JUJU_PRINCIPAL_UNIT": "",
            "JUJU_SLA": "unsupported",
            "JUJU_UNIT_NAME": self.name,
            "JUJU_VERSION": JUJU_VERSION,
        }

    def _run(self, environment: dict[str, str], what: str, kill: Kill) -> tuple[Model, Run]:
        context = f"{self.name}-{what}-{uuid.uuid4().hex[:16]}"
        with models.changing(self.path) as model:
            model["context"], model["reboot"] = context, ""
            before = json.loads(json.dumps(model))
        with (
            (self.directory / "output").open("w+", errors="replace") as output,
            subprocess.Popen(
                [*self.inside, self.charm_dir / "dispatch"],
                cwd=self.charm_dir,
                env={**self.environment(context), **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            ) as process,
        ):
            _wait(process, kill)
            output.seek(0)
            said = output.read()
        with models.changing(self.path) as model:
            model["context"] = ""
            after = json.loads(json.dumps(model))
        return before, Run(
            process.returncode,
            said,
            calls=after["calls"][len(before["calls"]) :],
            statuses=[Status(*one) for one in after["statuses"][len(before["statuses"]) :]],
            log=[(level, line) for level, line in after["log"][len(before["log"]) :]],
            reboot=after["reboot"],
        )


def _wait(process: subprocess.Popen[bytes], kill: Kill) -> None:
    """Wait for a run's end, or bring it about, as a machine does that loses its power."""
    end = time.monotonic() + kill.limit_s
    while process.poll() is None:
        if time.monotonic() > end or (kill.when and kill.when()):
            for pid in (process.pid, *_below(process.pid)):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()
        time.sleep(0.02)


def _below(parent: int) -> list[int]:
    """Find all that a process has started, and what that has started."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            # proc(5): the second number after the program's name, which may hold blanks.
            of = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(of, []).append(int(entry.name))
    found, new = [], [parent]
    while new:
        new = [child for one in new for child in children.get(one, [])]
        found += new
    return found
