"""A real HTTP proxy, the only way to a GitHub behind TLS; and proxies that are of no use."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import threading
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone
from ipaddress import ip_address
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from mount_space import LET_GO
from ports import free_port
from waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from typing_extensions import Self

NAME = "github.test"
"""Only the proxy knows what it stands for: who does not ask the proxy gets nowhere."""
USER, PASSWORD = "made-up-user", "made-up.pass-word"
LOGIN = f"{USER}:{PASSWORD.replace('.', '%2E')}@"
_LIMIT_S = 10


class Tinyproxy:
    """Debian's tinyproxy, in a mount namespace of its own with an `/etc/hosts` of its own."""

    def __init__(
        self,
        directory: Path,
        *,
        login: bool = False,
        names: str = NAME,
        only_port: int = 0,
        host: str = "127.0.0.1",
    ) -> None:
        self.host = host
        self.port = free_port()
        self._log = directory / "tinyproxy.log"
        self._log.touch()
        hosts, settings = directory / "hosts", directory / "tinyproxy.conf"
        hosts.write_text(f"127.0.0.1 localhost {names}\n")
        lines = [f"Port {self.port}", f"Listen {host}", "Timeout 30", f'LogFile "{self._log}"']
        lines += ["LogLevel Connect", *([f"BasicAuth {USER} {PASSWORD}"] if login else [])]
        lines += [f"ConnectPort {only_port}"] if only_port else []
        settings.write_text("\n".join([*lines, ""]))
        script = LET_GO + 'let_go "$0"; mount --bind "$0" /etc/hosts && exec tinyproxy -d -c "$1"'
        self._command = ["unshare", "--mount", "sh", "-c", script, str(hosts), str(settings)]
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, login: str = "") -> str:
        return f"http://{login}{self.host}:{self.port}"

    def asked(self) -> list[str]:
        """Return the requests that came, such as `CONNECT github.test:443`."""
        lines = self._log.read_text().splitlines()
        asked = [line.split("): ", 1)[1] for line in lines if "Request (file" in line]
        return [line.rsplit(" HTTP/", 1)[0] for line in asked]

    def __enter__(self) -> Self:
        null = subprocess.DEVNULL
        self._process = subprocess.Popen(self._command, stdin=null, stdout=null, stderr=null)
        try:
            eventually(self._listens, limit_s=_LIMIT_S)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        if self._process:
            self._process.kill()
            self._process.wait(_LIMIT_S)

    def _listens(self) -> bool:
        with suppress(OSError), socket.create_connection((self.host, self.port), 1):
            return True
        return False


class TlsFront:
    """Terminates TLS for a server that speaks none, under the name that only a proxy knows."""

    def __init__(self, directory: Path, port: int, host: str = "127.0.0.1") -> None:
        self.connections = 0
        self.ca_file = directory / "ca.pem"
        self._target = (host, port)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(_certify(self.ca_file, directory / "front.pem"))
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    @property
    def url(self) -> str:
        return f"https://{NAME}:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(_LIMIT_S)
        return self

    def __exit__(self, *_error: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(_LIMIT_S)

    async def _serve(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._forward, "127.0.0.1", ssl=self._context)
        self.port: int = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._end.wait()
        server.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        there, back = await asyncio.open_connection(*self._target)
        await asyncio.gather(_copy(reader, back), _copy(there, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


def _certify(ca_file: Path, leaf_file: Path) -> Path:
    """Make a CA and write its certificate; return a file with the front's, and its key."""
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a CA of these tests")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    is_ca = x509.BasicConstraints(ca=True, path_length=None)
    signs = x509.KeyUsage(*(i == 5 for i in range(9)))  # key_cert_sign
    its_key = x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key())
    root = _about(issuer, issuer, ca_key).add_extension(is_ca, critical=True)
    root = root.add_extension(signs, critical=True).add_extension(its_key, critical=False)
    ca_file.write_bytes(root.sign(ca_key, hashes.SHA256()).public_bytes(Encoding.PEM))
    here = x509.IPAddress(ip_address("127.0.0.1"))
    names = x509.SubjectAlternativeName([x509.DNSName(NAME), here])
    by = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    leaf = _about(subject, issuer, key).add_extension(names, critical=False)
    signed = leaf.add_extension(by, critical=False).sign(ca_key, hashes.SHA256())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    leaf_file.touch(mode=0o600)
    leaf_file.write_bytes(private + signed.public_bytes(Encoding.PEM))
    return leaf_file


def _about(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.now(timezone.utc)
    made = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer)
    made = made.public_key(key.public_key()).serial_number(x509.random_serial_number())
    return made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))


@contextmanager
def of_no_use(kind: str, directory: Path) -> Iterator[str]:
    """Give the address, with a login, of a proxy that fails in the way that `kind` names."""
    if kind == "refuses":
        yield f"http://{LOGIN}127.0.0.1:{free_port()}"
    elif kind == "unknown name":
        yield f"http://{LOGIN}proxy.invalid:3128"
    elif kind == "wants a login":
        with Tinyproxy(directory, login=True) as proxy:
            yield proxy.url()
    elif kind == "wants another login":
        with Tinyproxy(directory, login=True) as proxy:
            yield proxy.url(f"{USER}:no-{PASSWORD}@")
    elif kind == "forbids":
        with Tinyproxy(directory, only_port=1) as proxy:
            yield proxy.url(LOGIN)
    elif kind == "gets nowhere":
        with Tinyproxy(directory, names="") as proxy:
            yield proxy.url(LOGIN)
    elif kind == "speaks no TLS":
        with _answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
            yield f"https://{LOGIN}127.0.0.1:{port}"
    else:
        said = {"hangs": None, "hangs up": b"", "is none": b"SSH-2.0-OpenSSH_9.2\r\n"}
        said |= {code: f"HTTP/1.1 {code} No\r\n\r\n".encode() for code in ("405", "407", "502")}
        with _answering(said[kind]) as port:
            yield f"http://{LOGIN}127.0.0.1:{port}"


@contextmanager
def _answering(said: bytes | None) -> Iterator[int]:
    """Serve, at a port, whoever comes with the same words and hang up; None says nothing."""
    done = threading.Event()

    def serve(server: socket.socket) -> None:
        while not done.is_set():
            with suppress(OSError), server.accept()[0] as client:
                client.settimeout(1)
                client.recv(4096)
                client.sendall(said or b"")

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        thread = threading.Thread(target=serve, args=(server,), daemon=True)
        if said is not None:
            thread.start()
        yield server.getsockname()[1]
        done.set()
        if said is not None:
            thread.join(_LIMIT_S)
