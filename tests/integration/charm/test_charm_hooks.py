"""The emulated hook tools refuse what Juju refuses: else a test on them would prove too much."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from charm_hooks import JujuUnit, Refused, Run

CHARM = {
    "metadata.yaml": {"name": "toy"},
    "config.yaml": {
        "options": {
            "path": {"type": "string", "default": ""},
            "many": {"type": "int", "default": 1},
            "fast": {"type": "boolean", "default": False},
            "key": {"type": "secret"},
        }
    },
    "actions.yaml": {
        "do": {"additionalProperties": False, "params": {"how": {"enum": ["a", "b"]}}},
    },
}
# The charm's YAML is read by the package that it brings; this one's is JSON.
YAML = "import json\nsafe_load = json.loads\n"


def toy(directory: Path, script: str, **more: str) -> Path:
    """Pack a charm whose `dispatch` is a shell script."""
    files = {
        **{name: json.dumps(document) for name, document in CHARM.items()},
        "venv/lib/python3/site-packages/yaml.py": YAML,
        **more,
    }
    packed = directory / "toy.charm"
    with zipfile.ZipFile(packed, "w") as zipped:
        for name, text in files.items():
            zipped.writestr(name, text)
        entry = zipfile.ZipInfo("dispatch")
        entry.external_attr = 0o755 << 16
        zipped.writestr(entry, f"#!/bin/sh\n{script}")
    return packed


@pytest.fixture
def unit(tmp_path: Path) -> JujuUnit:
    """A unit whose every hook runs the script `hook` in its charm's directory."""
    return JujuUnit.deploy(tmp_path / "juju", toy(tmp_path, ". ./hook"), name="toy/0")


def run(unit: JujuUnit, script: str, event: str = "start") -> Run:
    (unit.charm_dir / "hook").write_text(script)
    return unit.dispatch(event)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("status-set error 'all is lost'", 'invalid status "error"'),
        ("juju-log --log-level LOUD -- x", 'unknown log level "LOUD"'),
        ("action-get", "not running an action"),
        ("relation-get -r cos-agent:7 - other/0", "relation not found"),
        ("secret-get secret:unknown", 'secret "unknown" not found'),
        ("open-port http", 'got "http"'),
        ("storage-get -s runner/0 location", "storage not found"),
        ("leader-set a=b", "leader-set is not emulated"),
    ],
)
def test_a_call_that_juju_refuses_fails(unit: JujuUnit, call: str, words: str) -> None:
    done = run(unit, call)
    assert done.code == 1
    assert done.output.startswith("ERROR ")
    assert words in done.output
    assert unit.status == ("error", 'hook failed: "start"')


def test_only_a_running_hook_can_call_tools(unit: JujuUnit) -> None:
    done = run(unit, "status-set active; unset JUJU_CONTEXT_ID; status-set active again")
    assert done.output == "ERROR JUJU_CONTEXT_ID not set\n"
    late = run(unit, f"JUJU_CONTEXT_ID={unit.name}-old-1 status-set active")
    assert "unknown context" in late.output


def test_a_hook_has_nothing_of_our_environment(
    unit: JujuUnit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPERATOR_DISPATCH", "1")
    unit.set_proxies(http="http://proxy:3128")
    told = dict(line.split("=", 1) for line in run(unit, "env").output.splitlines())
    assert "OPERATOR_DISPATCH" not in told
    assert told["JUJU_DISPATCH_PATH"] == "hooks/start"
    assert told["JUJU_CHARM_HTTP_PROXY"] == "http://proxy:3128"


def test_options_are_of_their_types(unit: JujuUnit) -> None:
    unit.set_config({"many": "3", "fast": "true"})
    assert json.loads(run(unit, "config-get --format=json").output) == {
        "path": "",
        "many": 3,
        "fast": True,
    }
    for name, value in (("many", "x"), ("many", True), ("fast", 1), ("key", "t"), ("no", "x")):
        with pytest.raises(Refused):
            unit.set_config({name: value})


def test_a_secret_is_read_by_whom_it_is_granted_to_and_as_it_was_until_it_is_refreshed(
    unit: JujuUnit,
) -> None:
    uri = unit.add_secret({"token": "one"}, granted=False)
    read = f"secret-get --format=json {uri}"
    assert run(unit, read).output == "ERROR permission denied\n"
    unit.grant(uri)
    assert run(unit, read).output == '{"token": "one"}\n'
    unit.update_secret(uri, {"token": "two"})
    assert run(unit, f"{read}; {read} --peek; {read}").output.split() == [
        *('{"token":', '"one"}'),
        *('{"token":', '"two"}'),
        *('{"token":', '"one"}'),
    ]
    assert run(unit, f"{read} --refresh").output == '{"token": "two"}\n'
    unit.revoke(uri)
    assert run(unit, read).code == 1


def test_a_relations_data_are_kept_if_the_hook_succeeds(unit: JujuUnit) -> None:
    relation = unit.relate("cos-agent", "agent", {"agent/0": {"host": "a"}})
    write = f"""echo '{{"x": "1"}}' | relation-set -r {relation} --file -"""
    assert (
        run(unit, f"{write}; relation-get -r {relation} - toy/0; exit 1").output == '{"x": "1"}\n'
    )
    assert unit.relation_data(relation, "toy/0") == {}
    assert run(unit, write).code == 0
    assert unit.relation_data(relation, "toy/0") == {"x": "1"}
    assert run(unit, f"relation-get -r {relation} host agent/0").output == "a\n"
    unit.set_leader(leads=False)
    assert run(unit, f"relation-set -r {relation} --app y=2").code == 1


def test_a_reboot_at_once_ends_the_hook_and_is_no_error(unit: JujuUnit) -> None:
    done = run(unit, "status-set active; juju-reboot --now; status-set blocked", "install")
    assert (done.code, done.reboot) == (-9, "now")
    assert unit.status == ("active", "")
    assert run(unit, "juju-reboot").reboot == "after"


def test_an_action_gives_results_under_names_that_juju_takes(unit: JujuUnit) -> None:
    (unit.charm_dir / "hook").write_text("action-get how; action-log doing; action-set a.b=1 c=d")
    done = unit.run_action("do", {"how": "b"})
    assert (done.output, done.messages) == ("b\n", ["doing"])
    assert (done.results, done.failure) == ({"a.b": "1", "c": "d"}, "")
    for key in ("Upper", "under_score", "stdout", "end-"):
        (unit.charm_dir / "hook").write_text(f"action-set {key}=1")
        assert unit.run_action("do").failure == "exit status 1"
    (unit.charm_dir / "hook").write_text("action-fail 'not today'; juju-reboot")
    assert unit.run_action("do").failure == "not today"
    for action, parameters in (("do", {"how": "c"}), ("do", {"who": "a"}), ("undo", {})):
        with pytest.raises(Refused):
            unit.run_action(action, parameters)


def test_an_upgrade_leaves_what_the_charm_made_and_takes_what_it_brought(
    unit: JujuUnit, tmp_path: Path
) -> None:
    unit.upgrade(toy(tmp_path, "true", old="x"))
    (unit.charm_dir / "made").touch()
    unit.upgrade(toy(tmp_path, "echo new", new="y"))
    assert {path.name for path in unit.charm_dir.iterdir()} >= {"made", "new", "dispatch"}
    assert not (unit.charm_dir / "old").exists()
    assert unit.dispatch("upgrade-charm").output == "new\n"


def test_a_hook_that_takes_too_long_is_killed_with_all_that_it_has_started(unit: JujuUnit) -> None:
    (unit.charm_dir / "hook").write_text("setsid sh -c 'echo $$ >pid; exec sleep 600'")
    pid = unit.charm_dir / "pid"

    done = unit.dispatch("start", kill_when=lambda: bool(pid.exists() and pid.read_text()))

    assert done.code == -9
    state = Path(f"/proc/{pid.read_text().strip()}/stat")
    assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"
