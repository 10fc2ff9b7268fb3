"""pip's limits and secrets: a script stands in pip's place, and does what a test wants."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor.gateways import pip as gateway
from supervisor.gateways.pip import Pip, PipFailed
from supervisor.policy.package import source
from supervisor.web.proxies import Proxies, Proxy

SOURCE = source(
    "demo @ git+https://me:word-of-git@git.example/demo.git",
    "https://you:word-of-index@pypi.example/simple",
)
PROXIES = Proxies(https=Proxy("http://him:word-of-proxy@proxy.example:3128"), exceptions=("a", "b"))
Run = Callable[[str], None]
_REPORT = """echo '{"install": [{"requested": true, "is_direct": false, "download_info": {},
"metadata": {"name": "demo", "version": "1.0"}}]}' >report.json"""


@pytest.fixture
def install(tmp_path: Path) -> Run:
    def run(script: str) -> None:
        python = tmp_path / "python"
        python.write_text(f"#!/bin/bash\nout={tmp_path}\n{_REPORT}\n{script}\n")
        python.chmod(0o755)
        (tmp_path / "temporary").mkdir(mode=0o700, exist_ok=True)
        Pip(SOURCE, PROXIES, tmp_path / "temporary", python).install(Path("/environment/python"))

    return run


def failure(install: Run, script: str) -> str:
    with pytest.raises(PipFailed) as caught:
        install(script)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_logins_are_in_a_file_and_in_no_argument(install: Run, tmp_path: Path) -> None:
    install(
        'echo "$@" >$out/arguments; env >$out/environment; cat .netrc >$out/netrc; ls -lA >$out/ls'
    )
    arguments = (tmp_path / "arguments").read_text()
    environment = (tmp_path / "environment").read_text()
    assert "word-of" not in arguments
    assert "--requirement=" in arguments
    assert "--python=/environment/python" in arguments
    assert "word-of-git" not in environment
    assert "https_proxy=http://him:word-of-proxy@proxy.example:3128" in environment
    assert "no_proxy=a,b" in environment
    assert "PIP_CONFIG_FILE=/dev/null" in environment
    assert "GIT_TERMINAL_PROMPT=0" in environment
    assert (tmp_path / "netrc").read_text().count("word-of") == 2
    assert (tmp_path / "ls").read_text().count("-rw------- ") == 2
    assert list((tmp_path / "temporary").iterdir()) == []


def test_nothing_of_the_daemons_own_environment_reaches_it(
    install: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://other.example")
    monkeypatch.setenv("GITHUB_TOKEN", "ghp_hidden")
    install("env >$out/environment")
    environment = (tmp_path / "environment").read_text()
    assert "other.example" not in environment
    assert "ghp_hidden" not in environment


def test_what_is_installed_can_be_read_by_others(install: Run, tmp_path: Path) -> None:
    install("umask >$out/mask")
    assert (tmp_path / "mask").read_text() == "0022\n"


def test_the_reason_is_its_first_error_on_one_line_without_secrets(install: Run) -> None:
    words = "printf 'ERROR: no \\033[31mword-of-git\\n'; echo ERROR: other"
    said = failure(install, f"echo Collecting demo; {words}; exit 1")
    assert said == "pip: ERROR: no  [31m[secret]"
    assert failure(install, "echo it went wrong; echo; exit 2") == "pip: it went wrong"
    assert failure(install, "exit 2") == "pip: it says nothing"
    assert len(failure(install, "echo ERROR: $(head -c 9000 /dev/zero | tr '\\0' x); exit 1")) < 500


@pytest.mark.parametrize(
    ("said", "failed", "reason"),
    [
        ("fatal: no such repository", "git clone", "fatal: no such repository"),
        ("error: pathspec v9 is unknown", "git checkout", "error: pathspec v9 is unknown"),
        ("fatal: not a repository", "Getting wheels", "Getting wheels did not run"),
    ],
)
def test_what_it_has_run_is_named_by_that_ones_own_words(
    install: Run, said: str, failed: str, reason: str
) -> None:
    lines = (said, "error: subprocess-exited-with-error", "", f"  \\u00d7 {failed} did not run")
    words = "".join(f"printf '{line}\\n'; " for line in lines)
    assert failure(install, f"export LC_ALL=C.UTF-8; {words} exit 1") == f"pip: {reason}"


def test_a_report_that_can_not_be_read_is_said(install: Run) -> None:
    assert failure(install, "echo nonsense >report.json").startswith("Expecting value")
    assert failure(install, "echo {} >report.json") == "pip's report can't be read"


def test_it_has_so_much_time_and_what_it_has_started_ends_with_it(
    install: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "_LIMIT_S", 1.0)
    said = failure(install, "sleep 600 & echo $! >$out/child; wait")
    assert said == "pip was not done within 1 s"
    child = Path("/proc") / (tmp_path / "child").read_text().strip() / "stat"
    assert not child.exists() or " Z " in child.read_text()


def test_it_may_say_so_much(install: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "_MOST_OUTPUT", 1 << 20)
    assert failure(install, "exec yes") == "pip said more than 1 MiB"


def test_a_python_that_is_none_is_said(tmp_path: Path) -> None:
    with pytest.raises(PipFailed, match=r"can't start pip: .*: No such file or directory"):
        Pip(SOURCE, PROXIES, tmp_path, tmp_path / "none").install(tmp_path / "python")


def test_an_environment_that_is_none_is_said(tmp_path: Path) -> None:
    with pytest.raises(PipFailed, match=r"pip: ERROR: Could not locate Python interpreter"):
        Pip(SOURCE, PROXIES, tmp_path).install(tmp_path / "none")
