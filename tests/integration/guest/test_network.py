"""What a guest does with what it is told of the network, by every shell that it may have."""

import http.server
import json
import os
import shutil
import socket
import socketserver
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from supervisor.guest.network import GuestNetwork, script
from supervisor.web.proxies import Proxies, Proxy

_SOON_S = 30.0
"""Long on a busy machine, and far from what it would take if it were waited to the end."""

FUNCTIONS = str(files("supervisor") / "guest/network.sh")
SHELLS = {"dash": ["dash"], "bash": ["bash"], "busybox": ["busybox", "sh"]}
PROGRAMS = ("mkdir", "cat", "tail", "chmod", "chown", "timeout", "grep", "sleep", "python3")
PASSWORD = "pa%24sword-of-the-test"
PROXIES = Proxies(Proxy(f"http://user:{PASSWORD}@proxy.example.com:3128"))
# Notes its arguments, and fails when it is asked for what is named.
STAND_IN = """#!/bin/sh
echo "${{0##*/}} $*" >>{calls}
case "$*" in {answers} esac
exit 0
"""


@dataclass
class Shell:
    """Runs scripts that may call the functions, with few programs and stand-ins for others."""

    directory: Path
    shell: str
    files: Path = field(init=False)

    def __post_init__(self) -> None:
        self.files = self.directory / "files"
        self.programs = self.directory / "programs"
        for directory in (self.files, self.programs):
            directory.mkdir()
        for name in PROGRAMS:
            found = sys.executable if name == "python3" else shutil.which(name)
            assert found, f"{name} is not installed"
            (self.programs / name).symlink_to(Path(found).resolve())

    def stand_in(self, name: str, answers: Mapping[str, str] | None = None) -> None:
        """Put a program there that does, where its first argument is a key, what is given."""
        cases = " ".join(f"{first}*) {then} ;;" for first, then in (answers or {}).items())
        path = self.programs / name
        path.write_text(STAND_IN.format(calls=self.directory / "calls", answers=cases))
        path.chmod(0o755)

    def remove(self, name: str) -> None:
        (self.programs / name).unlink()

    @property
    def calls(self) -> list[str]:
        path = self.directory / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def run(self, text: str, given: str = "", **variables: str) -> tuple[int, str]:
        """Return its exit code, and what it said of errors."""
        program, *arguments = SHELLS[self.shell]
        found = shutil.which(program)
        assert found, f"{program} is not installed"
        start = f"""
            set -u
            umask 077
            fail() {{ echo "failed: $1" >&2; exit 1; }}
            . {FUNCTIONS}
            SNAPD_SOCKET={self.directory}/snapd SYSTEMD_DIR={self.files}
            home={self.files} uid={os.getuid()} gid={os.getgid()}
        """
        for name, value in variables.items():
            start += f"{name}={value}\n"
        done = subprocess.run(
            [found, *arguments, "-c", f"{start}\n{text}"],
            input=given,
            env={"PATH": str(self.programs)},
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        )
        assert done.stdout == ""
        return done.returncode, done.stderr

    def write(self, how: str, mode: str, path: str, content: str) -> tuple[int, str]:
        return self.run(f"guest_file {how} {mode} {self.files}/{path}", content)


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> Shell:
    return Shell(tmp_path, request.param)


@pytest.fixture
def dash(tmp_path: Path) -> Shell:
    return Shell(tmp_path, "dash")


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_replaced_and_read_by_whom_it_is_for(shell: Shell) -> None:
    path = shell.files / "a/b/apt.conf"
    assert shell.write("replace", "644", "a/b/apt.conf", "old and longer\n") == (0, "")
    assert shell.write("replace", "644", "a/b/apt.conf", 'P "%40$x`id`";\n') == (0, "")
    assert path.read_text() == 'P "%40$x`id`";\n'
    assert mode_of(path) == 0o644
    assert mode_of(path.parent) == 0o755
    assert shell.write("replace", "600", "a/b/secret", "x\n") == (0, "")
    assert mode_of(path.parent / "secret") == 0o600


@pytest.mark.parametrize("before", ["PATH=/bin\n", "PATH=/bin", "", None])
def test_lines_are_added_to_those_of_the_image(shell: Shell, before: str | None) -> None:
    path = shell.files / "environment"
    if before is not None:
        path.write_text(before)
    assert shell.write("add", "644", "environment", "a=1\nb=2\n") == (0, "")
    assert path.read_text().splitlines() == [*(before or "").split(), "a=1", "b=2"]


def test_keys_are_put_into_the_images_json(shell: Shell) -> None:
    path = shell.files / "config.json"
    ours = {"proxies": {"default": {"httpProxy": "http://p:1"}}}
    assert shell.write("merge", "600", "config.json", json.dumps(ours)) == (0, "")
    assert json.loads(path.read_text()) == ours
    path.write_text('{"auths": {"x": 1}, "proxies": {"default": {"a": 2}, "b": 3}}')
    assert shell.write("merge", "600", "config.json", json.dumps(ours)) == (0, "")
    assert json.loads(path.read_text()) == {
        "auths": {"x": 1},
        "proxies": {"default": {"a": 2, "httpProxy": "http://p:1"}, "b": 3},
    }


def test_json_that_can_not_be_read_is_left_and_ends_the_guest(shell: Shell) -> None:
    (shell.files / "daemon.json").write_text("{broken")
    code, said = shell.write("merge", "644", "daemon.json", "{}")
    assert code == 1
    assert said.endswith("daemon.json could not be written\n")
    assert (shell.files / "daemon.json").read_text() == "{broken"


def test_a_file_that_can_not_be_written_ends_the_guest(shell: Shell) -> None:
    (shell.files / "a").write_text("in the way")
    code, said = shell.write("replace", "644", "a/b", "x")
    assert code == 1
    assert said.endswith(f"failed: the directory of {shell.files}/a/b could not be made\n")


def test_a_guest_that_is_told_of_nothing_does_nothing(shell: Shell) -> None:
    shell.stand_in("snap")
    shell.stand_in("systemctl")
    text = script(GuestNetwork(), "one", None)
    assert shell.run(f"{text}\nset_up_network\nfinish_network") == (0, "")
    assert shell.calls == []


def test_a_guest_without_snap_and_docker_goes_on(shell: Shell) -> None:
    text = script(GuestNetwork(proxies=PROXIES), "one", None)
    code, said = shell.run(
        f"{text}\nwrite_network_files() {{ :; }}\nset_up_network\nfinish_network",
        network_proxies="http://p:1",
    )
    assert (code, said) == (0, "")


# Docker.


@pytest.mark.parametrize("state", ["active", "activating", "reloading"])
def test_a_docker_that_runs_is_restarted(dash: Shell, state: str) -> None:
    dash.stand_in("systemctl", {"is-active": f"echo {state}"})
    assert dash.run("docker_changed=yes; restart_docker") == (0, "")
    assert dash.calls == [
        "systemctl daemon-reload",
        "systemctl is-active docker.service",
        "systemctl restart docker.service",
    ]


@pytest.mark.parametrize("state", ["inactive", "failed", "unknown"])
def test_a_docker_that_does_not_run_reads_it_when_it_starts(dash: Shell, state: str) -> None:
    dash.stand_in("systemctl", {"is-active": f"echo {state}; exit 3"})
    assert dash.run("docker_changed=yes; restart_docker") == (0, "")
    assert "systemctl restart docker.service" not in dash.calls


def test_without_systemd_nothing_is_restarted(dash: Shell) -> None:
    dash.stand_in("systemctl")
    assert dash.run("docker_changed=yes; SYSTEMD_DIR=/nothing; restart_docker") == (0, "")
    assert dash.calls == []


@pytest.mark.parametrize("answers", [{"restart": "exit 1"}, {"restart": "sleep 99"}])
def test_a_docker_that_does_not_come_up_again_ends_the_guest(
    shell: Shell, answers: dict[str, str]
) -> None:
    shell.stand_in("systemctl", {"is-active": "echo active", **answers})
    text = "write_network_files() { docker_changed=yes; }; print_snap_configuration() { :; }"
    began = time.monotonic()
    code, said = shell.run(f"DOCKER_LIMIT_S=1\n{text}\nset_up_network\nfinish_network")
    reason = "failed: Docker could not be restarted with what it is told of the network\n"
    assert (code, said) == (1, reason)
    assert time.monotonic() - began < _SOON_S


# snapd.


class Snapd(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Takes a change as snapd does, and looks at all arguments meanwhile."""

    daemon_threads = True

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), SnapdHandler)
        self.received: list[tuple[str, str, object]] = []
        self.answer: dict[str, Any] = {"type": "async", "change": "42"}
        self.leaks: list[bytes] = []


class SnapdHandler(http.server.BaseHTTPRequestHandler):
    server: Snapd

    def address_string(self) -> str:
        return "unix"

    def do_PUT(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.received.append((self.path, self.headers["Content-Type"], body))
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                if PASSWORD.encode() in path.read_bytes():
                    self.server.leaks.append(path.read_bytes())
        answer = json.dumps(self.server.answer).encode()
        self.send_response(202)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def snapd(tmp_path: Path) -> Iterator[Snapd]:
    with Snapd(tmp_path / "snapd") as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


TELL = ". ./told; tell_snapd"


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put into a file what is told: as an argument of the test's own, it would show."""
    (tmp_path / "told").write_text(script(GuestNetwork(proxies=PROXIES), "one", None))
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("told")
def test_snapd_is_told_of_the_proxies_and_no_argument_shows_a_password(
    shell: Shell, snapd: Snapd
) -> None:
    shell.stand_in("snap")
    assert shell.run(TELL) == (0, "")
    assert snapd.received == [
        (
            "/v2/snaps/system/conf",
            "application/json",
            {
                "proxy.http": f"http://user:{PASSWORD}@proxy.example.com:3128",
                "proxy.no-proxy": "localhost,127.0.0.1,::1",
            },
        )
    ]
    assert shell.calls == ["snap wait system seed.loaded", "snap watch 42"]
    assert snapd.leaks == []


@pytest.mark.usefixtures("told")
def test_a_snapd_that_refuses_is_quoted(dash: Shell, snapd: Snapd) -> None:
    dash.stand_in("snap")
    snapd.answer = {"type": "error", "result": {"message": "too early"}}
    assert dash.run(TELL) == (1, "guest: snapd says: too early\n")
    assert dash.calls == ["snap wait system seed.loaded"]


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize("answers", [{"wait": "sleep 99"}, {"watch": "sleep 99"}, {}])
def test_a_snapd_that_hangs_or_is_not_there_does_not_hold_up_the_guest(
    dash: Shell, request: pytest.FixtureRequest, answers: dict[str, str]
) -> None:
    if answers:
        request.getfixturevalue("snapd")
    dash.stand_in("snap", answers)
    began = time.monotonic()
    code, said = dash.run(
        ". ./told\nwrite_network_files() { :; }\nset_up_network\nfinish_network\necho on >&2",
        SNAP_LIMIT_S="1",
        network_proxies="http://p:1",
    )
    assert time.monotonic() - began < _SOON_S
    assert code == 0
    assert said.endswith("guest: snapd could not be told of the proxies\non\n")
    assert PASSWORD not in said


# aproxy.


@pytest.fixture
def port() -> Iterator[str]:
    """Return a port that somebody listens on, as aproxy does once it is configured."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield str(server.getsockname()[1])


START = """
print_aproxy_rules() { echo rules; }
print_snap_configuration() { :; }
write_network_files() { docker_changed=yes; }
set_up_network
finish_network
"""
APROXY = {
    "APROXY_PROXY": "10.0.0.9:3128",
    "SYSTEMD_DIR": "/none",
    "APROXY_LIMIT_S": "1",
    "SNAP_LIMIT_S": "1",
}


def test_an_aproxy_of_the_image_is_configured_and_its_rules_are_loaded(
    shell: Shell, port: str
) -> None:
    shell.stand_in("snap")
    shell.stand_in("nft", {"-f": f"cat >{shell.files}/rules"})
    assert shell.run(START, APROXY_PORT=port, **APROXY) == (0, "")
    assert shell.calls == [
        "snap wait system seed.loaded",
        "snap list aproxy",
        f"snap set aproxy proxy=10.0.0.9:3128 listen=:{port}",
        "nft -f -",
    ]
    assert (shell.files / "rules").read_text() == "rules\n"


def test_an_aproxy_that_is_missing_is_installed(dash: Shell, port: str) -> None:
    dash.stand_in("snap", {"list": "exit 1"})
    dash.stand_in("nft")
    assert dash.run(START, APROXY_PORT=port, **APROXY) == (0, "")
    assert "snap install aproxy --edge" in dash.calls


@pytest.mark.parametrize(
    ("snap", "nft", "reason"),
    [
        ({}, None, "nft is missing, which redirects what is sent to aproxy"),
        (None, {}, "snap is missing, by which aproxy is had"),
        ({"wait": "exit 1"}, {}, "snapd does not come up"),
        ({"wait": "sleep 99"}, {}, "snapd does not come up"),
        (
            {"list": "exit 1", "install": "exit 1"},
            {},
            "the snap aproxy could not be installed",
        ),
        (
            {"list": "exit 1", "install": "sleep 99"},
            {},
            "the snap aproxy could not be installed",
        ),
        ({"set": "exit 1"}, {}, "the snap aproxy could not be configured"),
        ({}, {"-f": "exit 1"}, "the rules that redirect to aproxy could not be loaded"),
    ],
)
def test_a_guest_ends_where_aproxy_can_not_be_had(
    dash: Shell,
    port: str,
    snap: dict[str, str] | None,
    nft: dict[str, str] | None,
    reason: str,
) -> None:
    for name, answers in (("snap", snap), ("nft", nft)):
        if answers is not None:
            dash.stand_in(name, answers)
    began = time.monotonic()
    code, said = dash.run(START, APROXY_PORT=port, SNAP_INSTALL_LIMIT_S="1", **APROXY)
    assert (code, said.splitlines()[-1]) == (1, f"failed: {reason}")
    assert time.monotonic() - began < _SOON_S


def test_a_guest_ends_where_aproxy_does_not_listen(shell: Shell) -> None:
    shell.stand_in("snap")
    shell.stand_in("nft")
    with socket.socket() as unused:  # bound and not listening: nobody else takes the port
        unused.bind(("127.0.0.1", 0))
        port = str(unused.getsockname()[1])
        code, said = shell.run(START, APROXY_PORT=port, **APROXY)
    assert (code, said) == (1, f"failed: aproxy does not listen on port {port}\n")
    assert "nft -f -" not in shell.calls
