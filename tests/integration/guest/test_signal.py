"""The guest's way to report, by every shell and every program that it may find."""

import contextlib
import http.server
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path

import pytest

TOKEN = "secret-token-of-the-test"
FUNCTIONS = str(files("supervisor") / "guest/signal.sh")
SHELLS = {"dash": ["dash"], "bash": ["bash"], "busybox": ["busybox", "sh"]}
CLIENTS = {
    "curl": ("curl",),
    "openbsd-nc": ("nc.openbsd", "timeout"),
    "busybox-nc": ("busybox", "timeout"),
    "python": ("python3",),
}


class Recorder(http.server.ThreadingHTTPServer):
    """Answers what it is told to, and looks at all processes of the machine meanwhile."""

    daemon_threads = True

    def __init__(self, statuses: tuple[int, ...]) -> None:
        # Its port is taken from now on, and refuses connections until it listens.
        super().__init__(("127.0.0.1", 0), Handler, bind_and_activate=False)
        self.server_bind()
        self.statuses = list(statuses)
        self.received: list[tuple[str, str, str, bytes]] = []
        self.leaks: list[bytes] = []

    def begin(self) -> None:
        """Listen, and answer."""
        self.server_activate()
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1/runners/r1/signals"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Recorder

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if TOKEN.encode() in path.read_bytes():
                    self.server.leaks.append(path.read_bytes())
        self.server.received.append(
            (self.path, self.headers["Authorization"], self.headers["Content-Type"], body)
        )
        status = self.server.statuses.pop(0) if self.server.statuses else 204
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        pass


StartRecorder = Callable[..., Recorder]
Report = Callable[..., tuple[int, str, str]]


@pytest.fixture
def recorder() -> Iterator[StartRecorder]:
    with contextlib.ExitStack() as stack:

        def start(*statuses: int, away_s: float = 0) -> Recorder:
            server = stack.enter_context(Recorder(statuses))
            stack.callback(server.shutdown)
            if not away_s:
                server.begin()
                return server
            beginning = threading.Timer(away_s, server.begin)
            beginning.start()
            stack.callback(beginning.join)
            return server

        yield start


@pytest.fixture
def report(tmp_path: Path) -> Report:
    """Run a script that may call the functions, with one client program and no other."""

    def run(
        script: str, url: str, *, shell: str = "dash", client: str = "curl", **variables: str
    ) -> tuple[int, str, str]:
        programs = tmp_path / client
        programs.mkdir(exist_ok=True)
        for name in ("tr", "sleep", *CLIENTS[client]):
            found = sys.executable if name == "python3" else shutil.which(name)
            if found is None:
                pytest.fail(f"{name} is not installed")
            link = programs / ("nc" if name in {"nc.openbsd", "busybox"} else name)
            link.unlink(missing_ok=True)
            link.symlink_to(Path(found).resolve())
        shell_program, *arguments = SHELLS[shell]
        found = shutil.which(shell_program)
        if found is None:
            pytest.fail(f"{shell_program} is not installed")
        pipe = tmp_path / "pipe"
        for name in ("pipe.request", "pipe.answer"):
            if not (tmp_path / name).exists():
                os.mkfifo(tmp_path / name)
        text = f"SIGNAL_URL={url}\nread -r SIGNAL_TOKEN\nSIGNAL_PIPE={pipe}\n. {FUNCTIONS}\n"
        done = subprocess.run(
            [found, *arguments, "-c", f"LC_ALL=C\n{text}{script}"],
            input=f"{TOKEN}\n",
            env={"PATH": str(programs), "http_proxy": "http://127.0.0.1:9", **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        )
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("shell", SHELLS)
def test_a_signal_arrives_whole_and_no_argument_shows_the_token(
    recorder: StartRecorder, report: Report, shell: str, client: str
) -> None:
    server = recorder()
    script = 'signal "signal=job-started\nworkflow=build äöü @x \\"y\\""'
    assert report(script, server.url, shell=shell, client=client) == (0, "", "")
    body = 'signal=job-started\nworkflow=build äöü @x "y"'.encode()
    path = "/v1/runners/r1/signals"
    assert server.received == [(path, f"Bearer {TOKEN}", "text/plain", body)]
    assert server.leaks == []


@pytest.mark.parametrize("client", CLIENTS)
def test_an_error_of_the_host_is_tried_again_and_a_refusal_is_not(
    recorder: StartRecorder, report: Report, client: str
) -> None:
    faulty = recorder(500, 503)
    assert report("signal signal=ready", faulty.url, client=client)[0] == 0
    assert len(faulty.received) == 3
    refusing = recorder(401)
    assert report("signal signal=ready", refusing.url, client=client)[0] == 0
    assert len(refusing.received) == 1


@pytest.mark.parametrize(
    ("shell", "client"),
    [("bash", "curl"), ("busybox", "busybox-nc"), *(("dash", client) for client in CLIENTS)],
)
def test_a_host_that_is_being_started_anew_hears_once_what_is_told_patiently(
    recorder: StartRecorder, report: Report, shell: str, client: str
) -> None:
    # 503 for as many seconds as pauses come before it: three.
    host = recorder(503, 503, 503, away_s=3)
    script = "SIGNAL_ATTEMPTS=1\nSIGNAL_PATIENCE_S=15\nsignal signal=finished"
    assert report(script, host.url, shell=shell, client=client) == (0, "", "")
    assert [body for *_, body in host.received] == [b"signal=finished"] * 4


@pytest.mark.parametrize("client", CLIENTS)
def test_a_host_that_stays_away_is_waited_for_as_long_as_was_said(
    recorder: StartRecorder, report: Report, client: str
) -> None:
    host = recorder(*[503] * 9)
    patient = "SIGNAL_ATTEMPTS=1\nSIGNAL_PATIENCE_S=2\nsignal signal=finished"
    assert report(patient, host.url, client=client)[0] == 1
    assert len(host.received) == 3
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x"
    began = time.monotonic()
    assert report(patient, url, client=client)[0] == 1
    assert time.monotonic() - began > 2


@pytest.mark.parametrize("client", CLIENTS)
def test_patience_is_not_for_a_host_that_errs(
    recorder: StartRecorder, report: Report, client: str
) -> None:
    host = recorder(*[500] * 9)
    assert report("SIGNAL_PATIENCE_S=15\nsignal signal=finished", host.url, client=client)[0] == 1
    assert len(host.received) == 3


@pytest.mark.parametrize("patience_s", [0, 15])
@pytest.mark.parametrize("client", CLIENTS)
def test_a_host_that_hangs_holds_a_guest_up_for_the_limit_once(
    report: Report, client: str, patience_s: int
) -> None:
    script = f"SIGNAL_LIMIT_S=1\nSIGNAL_PATIENCE_S={patience_s}\nsignal signal=finished"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x"
        began = time.monotonic()
        assert report(script, url, client=client)[0] == 1
        assert time.monotonic() - began < 15
        silent.settimeout(0)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):  # there was no second try
            silent.accept()


@pytest.mark.parametrize("client", CLIENTS)
def test_a_host_that_is_gone_is_given_up_in_a_second_or_so(report: Report, client: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x"
    began = time.monotonic()
    assert report("signal signal=ready", url, client=client)[0] == 1
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("shell", SHELLS)
def test_a_value_is_one_short_line_whatever_it_holds(report: Report, shell: str) -> None:
    script = 'signal_line workflow "$VALUE"; signal_line empty ""; signal_line job "%s $(true)"'
    value = "a\nsignal=ready\r\x1b[31m\t$(id) `id`" + "x" * 1000
    code, output, _ = report(script, "http://x/", shell=shell, VALUE=value)
    kept = ("asignal=ready[31m$(id) `id`" + "x" * 1000)[:400]
    assert (code, output) == (0, f"workflow={kept}\njob=%s \n")
