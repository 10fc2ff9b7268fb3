"""The packed charm: what is in it, that it has charmcraft's form, and what charmcraft says to it.

Charmcraft packs on nothing but the charm's base, so it is told that this machine is one. What that
can't prove: the packages of that base's Python, and the build in a container of charmcraft's own.
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import re
import shutil
import subprocess
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
SPLIT_TO = ("metadata", "config", "actions")
UBUNTU = f"ubuntu@24.04:{pack_charm.base()['architectures'][0]}"
IMPORTS = "import ops, yaml; from charmlibs import passwd, snap"
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
    # The system's own Python, as python-apt, which charmcraft needs, is in no index.
    python, apt = Path("/usr/bin/python3"), Path("/usr/lib/python3/dist-packages")
    venv, lock = ROOT / ".cache/charmcraft-venv", CHARM / "charmcraft.lock"
    stamp = venv / ".installed"
    venv.parent.mkdir(exist_ok=True)
    with (venv.parent / "charmcraft.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != lock.read_text():
            subprocess.run([python, "-m", "venv", "--clear", venv], check=True)
            pip = [venv / "bin/python", "-m", "pip", "--quiet", "--disable-pip-version-check"]
            subprocess.run(
                [*pip, "install", "--no-compile", "--require-hashes", "-r", lock], check=True
            )
            (packages,) = venv.glob("lib/python*/site-packages")
            for part in ("apt", "aptsources", *(one.name for one in apt.glob("apt_*.so"))):
                (packages / part).symlink_to(apt / part)
            stamp.write_text(lock.read_text())
    return Charmcraft(venv, tmp_path_factory.mktemp("charmcraft"))


@dataclasses.dataclass(frozen=True)
class Charmcraft:
    venv: Path
    home: Path

    def run(
        self, *words: str | Path, given: str = "", project: Path = CHARM, etc: str = "/etc"
    ) -> subprocess.CompletedProcess[str]:
        """Run one of its programs in the charm's directory, away from what this user has set.

        The library by which charmcraft learns what system it runs on reads it below `etc`.
        """
        runtime = self.home / "run"
        runtime.mkdir(mode=0o700, exist_ok=True)
        return subprocess.run(
            [self.venv / "bin" / words[0], *words[1:]],
            cwd=project,
            env={
                "HOME": str(self.home),
                "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                "UNIXCONFDIR": etc,
                "XDG_RUNTIME_DIR": str(runtime),
            },
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
    results = {one["name"]: one["result"] for one in json.loads(done.stdout)}
    # `pip check` looks at the packages of charmcraft's own Python, and so says nothing of ours.
    del results["pip-check"]
    assert {name for name in results if results[name] in {"warning", "error"}} == set()
    assert (results["entrypoint"], results["juju-config"]) == ("ok", "ok")


def test_charmcraft_packs_the_same_files(
    charmcraft: Charmcraft, packed: zipfile.ZipFile, tmp_path: Path
) -> None:
    etc, tree = tmp_path / "etc", tmp_path / "tree"
    etc.mkdir()
    (etc / "os-release").write_text('ID=ubuntu\nVERSION_ID="24.04"\nNAME="Ubuntu"\n')
    copy_tree(tree)
    words = ("--destructive-mode", "--platform", UBUNTU, "--verbosity", "trace")

    done = charmcraft.run("charmcraft", "pack", *words, project=tree / "charm", etc=str(etc))

    assert done.returncode == 0, done.stdout + done.stderr
    (theirs,) = (tree / "charm").glob("*.charm")
    assert theirs.name == f"github-runner-supervisor_{UBUNTU.replace(':', '-')}.charm"
    with zipfile.ZipFile(theirs) as found:
        assert sorted(found.namelist()) == sorted(packed.namelist())
        differ = {name for name in found.namelist() if found.read(name) != packed.read(name)}
        # YAML can be written in several ways; another test compares what it says.
        assert differ <= {"manifest.yaml", *(f"{name}.yaml" for name in SPLIT_TO)}
        made = yaml.safe_load(found.read("manifest.yaml"))
    ours = yaml.safe_load(packed.read("manifest.yaml"))
    assert made.keys() == ours.keys()
    assert made["analysis"] == ours["analysis"]
    assert made["bases"] == [ours["bases"][0] | {"name": "ubuntu", "channel": "24.04"}]


def copy_tree(target: Path) -> None:
    """Copy what is the tree's, with what is not committed yet; the cache of packages is shared."""
    words = ("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate")
    listed = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    (target / ".cache").mkdir()
    (target / ".cache/charm").symlink_to(ROOT / ".cache/charm")


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
