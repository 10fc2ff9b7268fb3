"""What a web server answers to a GET, with redirections followed, each through its own proxy.

No login and no token is sent but to proxies, and no address is quoted with more than its path: the
query of one that was signed is as good as a password.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from supervisor import __version__
from supervisor.gateways.http_session import lead, trusted
from supervisor.gateways.silence import PROXY_LOGIN, reason, reason_at_proxy, refusal
from supervisor.web.proxies import Proxies, Proxy
from supervisor.web.proxy_choice import proxy_for

_PORTS = {"http": 80, "https": 443}
_MOST_REDIRECTIONS = 5
_REDIRECTIONS = {301, 302, 303, 307, 308}
_CONNECT_S = 20
_PIECE = 256 * 1024
_NETWORK = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)


class NoAnswer(Exception):
    """None came, or it ended early. The message says where, why, and what to do."""


@dataclass(frozen=True)
class _Place:
    """An address that is asked, and what it is asked through."""

    url: str
    proxy: Proxy | None

    def __str__(self) -> str:
        """Show both, without what may be secret."""
        parts = urlsplit(self.url)
        shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        return f"{shown} through the proxy {self.proxy}" if self.proxy else shown

    @property
    def scheme(self) -> str:
        return urlsplit(self.url).scheme

    @property
    def target(self) -> str:
        parts = urlsplit(self.url)
        return f"{parts.hostname}:{parts.port or _PORTS[parts.scheme]}"

    def why(self, error: Exception, stall_s: float) -> NoAnswer:
        """Put an error of requests' or urllib3's in words."""
        limit_s = _CONNECT_S if isinstance(error, requests.ConnectTimeout) else int(stall_s)
        if isinstance(error, urllib3.exceptions.ReadTimeoutError):
            words = f"nothing came for {stall_s:g} s"
        elif isinstance(error, urllib3.exceptions.ProtocolError):
            words = "the connection was cut"
        elif self.proxy:
            words = reason_at_proxy(
                error,
                self.proxy,
                target=self.target,
                key=f"{self.scheme}-proxy",
                timeout_s=limit_s,
            )
        else:
            words = reason(error, limit_s)
        return NoAnswer(f"{self}: {words}")


def _place(url: str, proxies: Proxies) -> _Place:
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in _PORTS and parts.hostname and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address:
        scheme = url.partition(":")[0][:20]
        raise NoAnswer(f"from an address of {scheme!a}: only http and https are asked")
    return _Place(url, proxy_for(url, proxies))


class WebAnswer:
    """An answer whose body is yet to come."""

    def __init__(self, response: requests.Response, place: _Place, stall_s: float) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        """By names of any case."""
        self.where = str(place)
        self._raw: urllib3.HTTPResponse = response.raw
        self._place = place
        self._stall_s = stall_s

    def pieces(self) -> Iterator[bytes]:
        """Give the body's bytes as they come, and as they are.

        Raises:
            NoAnswer: it ends before its end, or nothing comes.
        """
        while True:
            try:
                # Not `read`: that waits until a piece is full, however long that takes.
                piece = self._raw.read1(_PIECE, decode_content=False)
            except _NETWORK as error:
                raise self._place.why(error, self._stall_s) from error
            if not piece:
                return
            yield piece


@contextmanager
def ask(
    url: str, headers: Mapping[str, str], proxies: Proxies, stall_s: float
) -> Iterator[WebAnswer]:
    """Send a GET, and give the answer that is no redirection.

    Args:
        url: what is asked for.
        headers: sent to each address on the way.
        proxies: those that are configured.
        stall_s: how long nothing may come.

    Raises:
        NoAnswer: none came.
    """
    for _ in range(_MOST_REDIRECTIONS + 1):
        place = _place(url, proxies)
        with _Session() as session:
            lead(session, place.scheme, place.proxy)
            response = _send(session, place, headers, stall_s)
            with response:
                if response.status_code not in _REDIRECTIONS:
                    yield WebAnswer(response, place, stall_s)
                    return
                location = response.headers.get("Location", "")
                if not location:
                    raise NoAnswer(f"{place}: it redirects to nowhere ({response.status_code})")
                url = _joined(place, location)
    raise NoAnswer(f"{place}: more than {_MOST_REDIRECTIONS} redirections")


class _Session(requests.Session):
    """Follows no redirection: requests would first read the whole of an answer that is one."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        """See none, whatever the answer says."""


def _send(
    session: requests.Session, place: _Place, headers: Mapping[str, str], stall_s: float
) -> requests.Response:
    try:
        response = session.get(
            place.url,
            headers={
                "User-Agent": f"github-runner-supervisor/{__version__}",
                "Accept": "*/*",
                # Bytes as they are: they are hashed.
                "Accept-Encoding": "identity",
                **headers,
            },
            stream=True,
            allow_redirects=False,
            timeout=(_CONNECT_S, stall_s),
            verify=trusted(),
            auth=_no_login,
        )
    except _NETWORK as error:
        raise place.why(error, stall_s) from error
    if response.status_code == PROXY_LOGIN and place.proxy:
        words = refusal(PROXY_LOGIN, place.proxy, target=place.target, key=f"{place.scheme}-proxy")
        response.close()
        raise NoAnswer(f"{place}: {words}")
    return response


def _no_login(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keep requests from making a login of what an address holds before its host."""
    return request


def _joined(place: _Place, location: str) -> str:
    try:
        return urljoin(place.url, location)
    except ValueError as error:
        raise NoAnswer(f"{place}: it redirects to what is no address") from error
