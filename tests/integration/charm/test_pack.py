"""The packed charm: what is in it, that it has charmcraft's form, and what charmcraft says to it.

Not proved here is `charmcraft pack` itself: it wants snapd, or an Ubuntu of the charm's base.
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import yaml
from options import CharmOptions

from scripts import pack_charm

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = pack_charm.ROOT
CHARM = ROOT / "charm"
# Run by charmcraft's own Python: from the project that it has expanded, what it would write.
SPLIT = """
import json, sys, yaml
from charmcraft.models.metadata import CharmMetadata
from charmcraft.models.project import PlatformCharm
project = PlatformCharm.unmarshal(yaml.safe_load(sys.stdin))
whole = project.marshal()
found = {"metadata.yaml": CharmMetadata.from_charm(project).marshal()}
found |= {f"{name}.yaml": whole[name] for name in ("config", "actions")}
json.dump(found, sys.stdout)
"""
IMPORTS = "import ops, yaml; from charmlibs import apt, passwd, snap, systemd"
OPTION_TYPES = {"string": str, "int": int, "float": float, "boolean": bool}


@pytest.fixture(scope="module")
def packed(packed_charm: Path) -> Iterator[zipfile.ZipFile]:
    with zipfile.ZipFile(packed_charm) as found:
        yield found


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((CHARM / "charmcraft.yaml").read_text())
    return found


@pytest.fixture(scope="module")
def charmcraft(tmp_path_factory: pytest.TempPathFactory) -> Charmcraft:
    """The real one, in an environment of its own that is made once."""
    venv, lock = ROOT / ".cache/charmcraft-venv", CHARM / "charmcraft.lock"
    stamp = venv / ".installed"
    venv.parent.mkdir(exist_ok=True)
    with (venv.parent / "charmcraft.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != lock.read_text():
            subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
            pip = [venv / "bin/python", "-m", "pip", "--quiet", "--disable-pip-version-check"]
            subprocess.run(
                [*pip, "install", "--no-compile", "--require-hashes", "-r", lock], check=True
            )
            stamp.write_text(lock.read_text())
    return Charmcraft(venv, tmp_path_factory.mktemp("charmcraft"))


@dataclasses.dataclass(frozen=True)
class Charmcraft:
    venv: Path
    home: Path

    def run(self, *words: str | Path, given: str = "") -> subprocess.CompletedProcess[str]:
        """Run one of its programs in the charm's directory, away from what this user has set."""
        runtime = self.home / "run"
        runtime.mkdir(mode=0o700, exist_ok=True)
        return subprocess.run(
            [self.venv / "bin" / words[0], *words[1:]],
            cwd=CHARM,
            env={"HOME": str(self.home), "XDG_RUNTIME_DIR": str(runtime), "PATH": os.defpath},
            input=given,
            capture_output=True,
            text=True,
            check=False,
        )


def names(packed: zipfile.ZipFile, beginning: str) -> list[str]:
    return [name for name in packed.namelist() if name.startswith(beginning)]


def versions(lock: Path) -> dict[str, set[str]]:
    """What a lock file has, by name; several versions where Pythons differ."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([a-z0-9.-]+)==([^ \n]+)", lock.read_text(), re.MULTILINE):
        found.setdefault(name, set()).add(version)
    return found


def test_it_holds_what_juju_and_the_hooks_need(packed: zipfile.ZipFile) -> None:
    expected = {
        *("dispatch", "src/charm.py", "icon.svg", "LICENSE", "README.md"),
        *("metadata.yaml", "config.yaml", "actions.yaml", "manifest.yaml"),
        *(f"src/{path.relative_to(CHARM / 'src')}" for path in (CHARM / "src").rglob("*.py")),
        *(f"systemd/{path.name}" for path in (ROOT / "systemd").iterdir()),
    }
    assert expected <= set(packed.namelist())


def test_it_holds_nothing_that_was_lying_about(packed: zipfile.ZipFile) -> None:
    stray = re.compile(r"__pycache__|\.pyc$|\.git|^venv/bin|^venv/pyvenv|\.egg-link|/\.cache/")
    assert [name for name in packed.namelist() if stray.search(name)] == []


def test_only_what_is_run_is_executable(packed: zipfile.ZipFile) -> None:
    ours = [one for one in packed.infolist() if not one.filename.startswith("venv/")]
    runs = {one.filename for one in ours if one.external_attr >> 16 & 0o111}
    assert runs == {"dispatch", "src/charm.py"}


def test_the_payload_is_the_daemon_and_all_that_it_needs(packed: zipfile.ZipFile) -> None:
    wheels = [name.removeprefix("payload/") for name in names(packed, "payload/")]
    assert all(name.endswith(".whl") for name in wheels)
    shipped = {name.split("-")[0].replace("_", "-").lower(): name.split("-")[1] for name in wheels}
    assert "github-runner-supervisor" in shipped
    assert "pip" in shipped
    del shipped["github-runner-supervisor"]
    locked = versions(ROOT / "requirements-runtime.lock")
    assert {name: version for name, version in shipped.items() if version not in locked[name]} == {}


def test_what_is_shipped_has_the_versions_that_are_tested() -> None:
    tested = versions(ROOT / "requirements.lock")
    for lock in ("requirements-runtime.lock", "requirements-build.lock", "charm/requirements.lock"):
        shipped = versions(ROOT / lock)
        assert {name for name in shipped if not shipped[name] <= tested.get(name, set())} == set()


def test_the_charm_imports_what_is_in_it_alone(packed_charm: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(packed_charm) as packed:
        packed.extractall(tmp_path)
    (packages,) = tmp_path.glob("venv/lib/python*/site-packages")
    # -I: neither this tree nor this environment; -S: nor the machine's packages.
    done = subprocess.run(
        [
            "/usr/bin/python3",
            "-ISc",
            f"import sys; sys.path.insert(0, {str(packages)!r}); {IMPORTS}",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_two_packings_of_a_tree_are_the_same(packed_charm: Path, tmp_path: Path) -> None:
    assert pack_charm.pack(tmp_path).read_bytes() == packed_charm.read_bytes()


def test_the_metadata_is_split_as_charmcraft_splits_it(
    charmcraft: Charmcraft, packed: zipfile.ZipFile
) -> None:
    expanded = charmcraft.run("charmcraft", "expand-extensions")
    assert expanded.returncode == 0, expanded.stderr
    split = charmcraft.run("python", "-c", SPLIT, given=expanded.stdout)
    assert split.returncode == 0, split.stderr
    for name, document in json.loads(split.stdout).items():
        assert yaml.safe_load(packed.read(name)) == document


def test_charmcraft_finds_nothing_to_say_against_it(
    charmcraft: Charmcraft, packed_charm: Path
) -> None:
    done = charmcraft.run("charmcraft", "analyse", packed_charm, "--format", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    results = {one["name"]: one["result"] for one in json.loads(done.stdout)}
    assert results["entrypoint"] == "ok"
    assert results["juju-config"] == "ok"


def test_an_option_is_of_a_type_that_juju_has_and_so_is_its_default(
    project: dict[str, Any],
) -> None:
    for name, option in project["config"]["options"].items():
        assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name)
        assert option["description"].strip(), name
        if option["type"] == "secret":
            assert "default" not in option, name
        else:
            assert type(option["default"]) is OPTION_TYPES[option["type"]], name


def test_the_charm_knows_exactly_the_options_that_there_are(project: dict[str, Any]) -> None:
    options = project["config"]["options"]
    known = {one.name.replace("_", "-"): one for one in dataclasses.fields(CharmOptions)}
    assert known.keys() == options.keys()
    for name, option in options.items():
        assert known[name].default == option.get("default"), name


def test_an_actions_parameters_are_a_schema_and_nothing_else_is_taken(
    project: dict[str, Any],
) -> None:
    for name, action in project["actions"].items():
        assert action["description"].strip(), name
        assert action["additionalProperties"] is False, name
        parameters = action.get("params", {})
        schema = {"type": "object", "properties": parameters, "required": []}
        jsonschema.Draft4Validator.check_schema(schema | {"required": ["any"]})
        defaults = {key: one["default"] for key, one in parameters.items() if "default" in one}
        jsonschema.validate(defaults, schema | {"additionalProperties": False})
