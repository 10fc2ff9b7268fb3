"""The ways that the script which builds images has to what not every distribution has."""

from __future__ import annotations

import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

_FAILS = "exit 1"
_MAKES = 'printf "#!/bin/sh\\n" >"{0}/{1}" && chmod 755 "{0}/{1}"'


class Builder:
    """A builder that has only the programs that it is given, each a script."""

    def __init__(self, directory: Path, shell: str) -> None:
        self.programs = directory / "bin"
        self.programs.mkdir()
        self._directory = directory
        self._shell = shell
        for name in ("chmod", "timeout"):
            self.has(name, f'exec {shutil.which(name)} "$@"')
        (directory / "environment").write_text(f"PATH={self.programs}\n")

    def has(self, name: str, script: str = "exit 0") -> None:
        program = self.programs / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    def brings(self, name: str, what: str) -> None:
        """Have a program that installs another one, whatever it is told."""
        self.has(name, _MAKES.format(self.programs, what))

    def run(self, function: str, **assignments: str) -> tuple[int, str]:
        """Call one of the script's functions; gives its exit code and all it wrote."""
        text = files("supervisor").joinpath("images/build.sh").read_text(encoding="utf-8")
        functions, trap, _ = text.partition("\ntrap ")
        assert trap
        given = {"BUILD_DIR": str(self._directory), "RUNNER_USER": "r", "RUNNER_HOME": "/r"}
        lines = [f"{name}='{value}'" for name, value in (given | assignments).items()]
        script = "\n".join([*lines, functions, function])
        done = subprocess.run(
            [self._shell, "-c", script], capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr


@pytest.fixture(params=["dash", "bash"])
def builder(tmp_path: Path, request: pytest.FixtureRequest) -> Builder:
    shell = shutil.which(request.param)
    assert shell, f"{request.param} is not installed"
    return Builder(tmp_path, shell)


def test_yq_is_the_distributions_where_it_has_one(builder: Builder) -> None:
    builder.has("apt-cache")
    builder.brings("apt-get", "yq")
    builder.has("snap", _FAILS)
    assert builder.run("install_yq") == (0, "step: install yq\nyq is of the distribution\n")


def test_yq_is_a_snap_where_the_distribution_has_none(builder: Builder) -> None:
    builder.has("apt-cache", _FAILS)
    builder.brings("snap", "yq")
    assert builder.run("install_yq") == (0, "step: install yq\nyq is a snap\n")


@pytest.mark.parametrize("snap", ["", _FAILS, "exit 0"])
def test_yq_is_pythons_where_there_is_no_snap_of_it_either(builder: Builder, snap: str) -> None:
    builder.has("apt-cache", _FAILS)
    if snap:
        builder.has("snap", snap)
    builder.brings("pip3", "yq")
    code, said = builder.run("install_yq")
    assert (code, said.splitlines()[-1]) == (0, "yq is of Python's package index")


def test_without_any_yq_the_build_fails(builder: Builder) -> None:
    builder.has("apt-cache", _FAILS)
    builder.has("pip3", "echo no yq >&2; exit 1")
    code, said = builder.run("install_yq")
    assert code != 0
    assert said.endswith("no yq\n")


@pytest.mark.parametrize(
    ("needs", "snap", "code", "last"),
    [
        ("", "", 0, "no snapd: no aproxy"),
        ("yes", "", 1, "use-aproxy is set, and the base image has no snapd"),
        ("", _FAILS, 0, "no aproxy, which is not needed"),
        ("yes", _FAILS, 1, "the snap aproxy could not be installed, and use-aproxy is set"),
        ("yes", "exit 0", 0, "step: install aproxy"),
    ],
)
def test_aproxy_is_a_must_only_where_it_is_used(
    builder: Builder, needs: str, snap: str, code: int, last: str
) -> None:
    if snap:
        builder.has("snap", snap)
    ended, said = builder.run("install_aproxy", NEEDS_APROXY=needs)
    assert (ended, said.splitlines()[-1]) == (code, last)


def test_snapd_is_told_of_proxies_but_of_none_with_a_password(builder: Builder) -> None:
    builder.has("snap", f'echo "$@" >>{builder.programs}/said')
    proxies = "http_proxy=http://p:1; https_proxy=http://user:word@p:1;"
    assert builder.run(f"{proxies} prepare_snapd")[0] == 0
    said = (builder.programs / "said").read_text()
    assert said == "wait system seed.loaded\nset system proxy.http=http://p:1\n"


@pytest.mark.parametrize("missing", ["docker", "jq", "nft", "yarn"])
def test_a_tool_that_is_missing_after_all_is_named(builder: Builder, missing: str) -> None:
    text = files("supervisor").joinpath("images/build.sh").read_text(encoding="utf-8")
    tools = text.partition("TOOLS='")[2].partition("'")[0].split()
    assert missing in tools
    for tool in tools:
        if tool != missing:
            builder.has(tool)
    code, said = builder.run("check_tools")
    assert (code, said.splitlines()[-1]) == (1, f"{missing} is missing after all")


def test_a_base_image_without_apt_is_told_of(builder: Builder) -> None:
    code, said = builder.run("install_packages")
    assert code == 1
    assert said.endswith("the base image has no apt-get: it must be of Debian or Ubuntu\n")
