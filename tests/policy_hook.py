"""The script that asks the policy: real bash, below a runner application that can be stopped."""

import contextlib
import json
import os
import shutil
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from supervisor.guest import policy_script

Behaviour = Callable[[socket.socket], None]

TOKEN = "v1.eyJydW5uZXIiOiJmbGVldC0xIn0=.c2lnbmF0dXJl"
SHA = "5b" * 20
PULL_REQUEST: dict[str, Any] = {
    "repository": {"full_name": "acme/web"},
    "pull_request": {
        "base": {"ref": "main", "repo": {"full_name": "acme/web"}},
        "head": {"ref": "fix", "sha": SHA, "repo": {"full_name": "someone/web"}},
    },
}
# As the application: it ends what it runs when it is told to end, and says so. An order breaks a
# wait off, even where the hook has ended at the same moment: so its end is waited for once more.
LISTENER = """#!/bin/sh
trap 'echo stopped >stopped; kill "$hook"; broken_off=yes' TERM
"$@" &
hook=$!
broken_off=yes
while [ "$broken_off" ]; do
    broken_off=
    wait $hook
    code=$?
done
exit $code
"""
HOOK = """
LC_ALL=C
. {functions}
signal() {{ printf '%s\\n' "$1" >>signals; }}
"""


def answer(status: str, body: bytes = b"", *headers: str) -> Behaviour:
    """Answer as a web service does."""
    length = [] if status.startswith("204") else [f"Content-Length: {len(body)}"]
    head = "\r\n".join([f"HTTP/1.1 {status}", *headers, *length, "Connection: close", "", ""])
    return raw(head.encode() + body)


def raw(data: bytes) -> Behaviour:
    """Send bytes, and close."""

    def behave(sock: socket.socket) -> None:
        sock.sendall(data)

    return behave


def reset(sock: socket.socket) -> None:
    """Break the connection off."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def hang(sock: socket.socket) -> None:
    """Say nothing until the other side has given up."""
    sock.recv(1)


def drip(sock: socket.socket) -> None:
    """Send one byte after another for as long as the other side takes them."""
    given_up = threading.Event()
    sock.sendall(b"HTTP/1.1 403 Forbidden\r\nX: ")
    while not given_up.wait(0.1):
        sock.sendall(b"x")


class PolicyService:
    """Listens, notes what it is asked, and does what it is told to."""

    def __init__(self, behaviour: Behaviour, port: int = 0) -> None:
        self.behaviour = behaviour
        self.asked: list[tuple[str, Mapping[str, str], Any]] = []
        self.leaks: list[bytes] = []
        self._socket = socket.create_server(("127.0.0.1", port))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._socket.accept()
                threading.Thread(target=self._answer, args=(sock,), daemon=True).start()

    def _answer(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            with sock.makefile("rb") as stream:
                _, path, _ = stream.readline().decode().split()
                headers = {}
                while line := stream.readline().decode().strip():
                    name, _, value = line.partition(": ")
                    headers[name.lower()] = value
                body = stream.read(int(headers["content-length"]))
            self._look_for_leaks()
            self.asked.append((path, headers, json.loads(body)))
            self.behaviour(sock)

    def _look_for_leaks(self) -> None:
        processes = [path for path in Path("/proc").iterdir() if path.name.isdigit()]
        for path in processes:
            for name in ("cmdline", "environ"):
                with contextlib.suppress(OSError):  # it may end meanwhile
                    if TOKEN.encode() in (found := (path / name).read_bytes()):
                        self.leaks.append(found)


@dataclass(frozen=True)
class Outcome:
    """How a hook ended.

    Attributes:
        code: its exit code.
        log: what it has written into the job's log.
        stopped: whether it had the application stopped.
        signals: what it has told the host.
        watch: what it has told the watch.
    """

    code: int
    log: str
    stopped: bool
    signals: str
    watch: list[str]

    @property
    def passed(self) -> bool:
        """Tell whether the job may run; what it says and what it does must agree."""
        passed = self.code == 0
        assert passed is not self.stopped, self
        assert passed is (not self.signals), self
        assert self.watch == ["asking", *(["passed"] if passed else [])], self
        return passed


@dataclass
class Hook:
    """A guest's directory with all that the script needs.

    Attributes:
        directory: it is there.
        token: the runner's.
        event: the path of the event's file.
        variables: what the runner application tells.
        path: where programs are, if not in the usual places.
        ask_limit_s: how long the service is waited for.
        watched: whether root's watch is there.
    """

    directory: Path
    token: str = TOKEN
    variables: dict[str, str] = field(default_factory=dict)
    path: str = ""
    ask_limit_s: int = 30
    watched: bool = True

    def __post_init__(self) -> None:
        self.event = self.directory / "event.json"
        self.write(PULL_REQUEST)

    def write(self, event: Any) -> None:
        """Write an event: bytes as they are, anything else as JSON."""
        data = event if isinstance(event, bytes) else json.dumps(event).encode()
        self.event.write_bytes(data)

    def run(self, url: str, limit_s: float = 60, **variables: str) -> Outcome:
        """Run the script to its end."""
        here = self.directory
        functions = files("supervisor") / "guest/signal.sh"
        (here / "hook.sh").write_text(HOOK.format(functions=functions))
        (here / "refusal.sh").write_bytes((files("supervisor") / "guest/refusal.sh").read_bytes())
        (here / "policy-token").write_text(f"{self.token}\n")
        (here / "policy.sh").write_text(self._script(url))
        (here / "Runner.Listener").write_text(LISTENER)
        (here / "Runner.Listener").chmod(0o755)
        for name in ("stopped", "signals", "policy.pipe"):
            (here / name).unlink(missing_ok=True)
        if self.watched:
            os.mkfifo(here / "policy.pipe")
        else:
            (here / "policy.pipe").touch()
        watch = os.open(here / "policy.pipe", os.O_RDWR | os.O_NONBLOCK)
        environment = {
            "PATH": os.environ["PATH"],
            "GITHUB_EVENT_NAME": "pull_request",
            "GITHUB_EVENT_PATH": str(self.event),
            "GITHUB_REF": "refs/pull/7/merge",
            "GITHUB_REPOSITORY": "acme/web",
            **self.variables,
            **variables,
        }
        bash = shutil.which("bash")
        assert bash is not None
        try:
            done = subprocess.run(
                [str(here / "Runner.Listener"), bash, "-p", str(here / "policy.sh")],
                cwd=here,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                timeout=limit_s,
            )
            try:
                told = os.read(watch, 4096).decode().split()
            except BlockingIOError:
                told = []
        finally:
            os.close(watch)
        signals = here / "signals"
        return Outcome(
            done.returncode,
            (done.stdout + done.stderr).decode(errors="surrogateescape"),
            (here / "stopped").exists(),
            signals.read_text(errors="surrogateescape") if signals.exists() else "",
            told,
        )

    def _script(self, url: str) -> str:
        script = policy_script(url, str(self.directory))
        assert "\nASK_LIMIT_S=30\n" in script
        script = script.replace("ASK_LIMIT_S=30", f"ASK_LIMIT_S={self.ask_limit_s}", 1)
        usual = "\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
        assert usual in script
        return script.replace(usual, f"\nPATH={self.path}\n") if self.path else script
