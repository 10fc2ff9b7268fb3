"""Packages of a policy service, as wheels: good ones, and each way to be broken."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

NAME = "demo-policy"
APP = "demo_policy:app"
_MODULE = '''
"""A policy service with the API of canonical/repo-policy-compliance, and no more."""
import json, os, secrets, sys, time

VERSION = "{version}"
tokens, asked = set(), []
{top}

def app(environ, start_response):
    path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
    token = environ.get("HTTP_AUTHORIZATION", "").removeprefix("Bearer ")
    is_charm = token == os.environ["CHARM_TOKEN"]
    is_runner = token in tokens
    tokens.discard(token)
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))

    def answer(status, text=""):
        start_response(status + " Words", [("Content-Type", "text/html")])
        return [text.encode()]

    {request}
    if path == "/health":
        return answer("204")
    if path in ("/one-time-token", "/policy"):
        if not is_charm:
            return answer("403" if is_runner else "401", "Unauthorized Access")
        if path == "/policy":
            fits = "refused" not in json.loads(body)
            return answer("204") if fits else answer("400", "invalid policy document")
        tokens.add(made := secrets.token_hex(32))
        return answer("200", made)
    if not is_runner:
        return answer("401", "Unauthorized Access")
    if path == "/auth-health":
        return answer("204")
    name = json.loads(body).get("repository_name", "")
    if name == "acme/slow":
        time.sleep(3)
    if name == "acme/crash":
        raise RuntimeError("it crashed")
    if name == "acme/odd":
        return answer("200")
    return answer("403", VERSION + " says no\\n") if name == "acme/refused" else answer("204")
'''


def wheel(
    directory: Path,
    version: str,
    top: str = "",
    request: str = "",
    *,
    start: str = "",
    needs: str = "",
) -> Path:
    """Build one.

    Args:
        directory: where to.
        version: its number.
        top: lines of the module, run when it is imported.
        request: lines that are run for each request, before anything else.
        start: a line that is run whenever a Python starts where it is installed.
        needs: another package.
    """
    module = _MODULE.format(version=version, top=top, request=request)
    info = f"demo_policy-{version}.dist-info"
    files = {"demo_policy.py": module.encode(), **_metadata(info, NAME, version, needs)}
    if start:
        files["demo_policy.pth"] = start.encode()
    return _pack(directory / f"demo_policy-{version}-py3-none-any.whl", info, files)


def part(directory: Path, version: str) -> Path:
    """Build a wheel that others may need, by the name of `demo-part`."""
    info = f"demo_part-{version}.dist-info"
    files = {"demo_part.py": b"", **_metadata(info, "demo-part", version)}
    return _pack(directory / f"demo_part-{version}-py3-none-any.whl", info, files)


def _metadata(info: str, name: str, version: str, needs: str = "") -> dict[str, bytes]:
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {needs}"] if needs else []
    wheel = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    return {
        f"{info}/METADATA": "\n".join([*lines, ""]).encode(),
        f"{info}/WHEEL": wheel.encode(),
    }


BROKEN = {
    "import": {"top": "raise ImportError('no such thing')"},
    "exit": {"top": "sys.exit(7)"},
    "errors": {"request": "return answer('500', 'all is broken')"},
    "hangs": {"request": "time.sleep(600)"},
    "open": {"request": "is_charm = is_runner = True"},
    "trouble": {"request": "if path == '/health': return answer('500', 'GitHub is unknown')"},
}
"""Ways to be broken: the last one only where another can ask GitHub."""


def tools(directory: Path) -> None:
    """Put there what the service is run by, as it is installed here."""
    for name in ("gunicorn", "packaging"):
        found = distribution(name)
        files: dict[str, bytes] = {}
        for file in found.files or ():
            if ".." not in file.parts and "__pycache__" not in file.parts:
                files[str(file)] = file.read_binary()
        info = f"{name}-{found.version}.dist-info"
        kept = {
            path: content
            for path, content in files.items()
            if path.rpartition("/")[2]
            not in {"RECORD", "REQUESTED", "INSTALLER", "direct_url.json"}
        }
        _pack(directory / f"{name}-{found.version}-py3-none-any.whl", info, kept)


def _pack(path: Path, info: str, files: dict[str, bytes]) -> Path:
    lines = [f"{name},sha256={_digest(content)},{len(content)}" for name, content in files.items()]
    files = {**files, f"{info}/RECORD": "\n".join([*lines, f"{info}/RECORD,,", ""]).encode()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")


def repository(directory: Path) -> Path:
    """Make a git repository of the package, which builds without anything else."""
    directory.mkdir()
    (directory / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        f'[project]\nname = "{NAME}"\nversion = "3.0"\n'
    )
    (directory / "backend.py").write_text(
        "import sys, pathlib\n"
        f"sys.path[:0] = [{str(Path(__file__).parent)!r}]\n"
        "def build_wheel(directory, config_settings=None, metadata_directory=None):\n"
        "    from policy_packages import wheel\n"
        "    return wheel(pathlib.Path(directory), '3.0').name\n"
    )
    _git(directory, "init", "--quiet", "--initial-branch=main")
    commit(directory)
    return directory


def commit(repository: Path) -> None:
    """Add a commit with something new."""
    notes = repository / "notes.txt"
    notes.write_text((notes.read_text() if notes.exists() else "") + "more\n")
    _git(repository, "add", "--all")
    _git(repository, "commit", "--quiet", "--message=more")


def _git(directory: Path, *command: str) -> None:
    who = ("-c", "user.name=test", "-c", "user.email=test@example.com")
    subprocess.run(["git", *who, *command], cwd=directory, check=True)


class Index:
    """A package index as PEP 503 has it, for those who know its password."""

    def __init__(self, directory: Path, url: str) -> None:
        self.directory = directory
        self.url = url
        self.authorized = ""
        self.asked: list[str] = []

    def publish(self, wheel: Path) -> None:
        """Offer a wheel."""
        project = self.directory / "simple" / wheel.name.partition("-")[0].replace("_", "-")
        project.mkdir(parents=True, exist_ok=True)
        wheel.rename(project / wheel.name)
        names = sorted(path.name for path in project.glob("*.whl"))
        links = "".join(f'<a href="{name}">{name}</a>\n' for name in names)
        (project / "index.html").write_text(f"<!DOCTYPE html><html><body>{links}</body></html>")


class _Handler(SimpleHTTPRequestHandler):
    def do_GET(self) -> None:
        index: Index = self.server.index  # type: ignore[attr-defined]
        index.asked.append(self.path)
        if index.authorized and self.headers["Authorization"] != index.authorized:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="index"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        super().do_GET()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def serving_index(directory: Path) -> Iterator[Index]:
    """Serve an index at loopback."""
    handler = partial(_Handler, directory=str(directory))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        index = Index(directory, f"http://127.0.0.1:{server.server_port}/simple")
        server.index = index  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield index
        finally:
            server.shutdown()
