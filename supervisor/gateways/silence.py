"""Why no answer came, in words: nobody there, a proxy that refuses, TLS, a connection cut."""

import re
import ssl
from collections.abc import Iterator
from http.client import BadStatusLine, HTTPException, IncompleteRead, RemoteDisconnected

import requests
import urllib3

from supervisor.web.proxies import Proxy

_DEEPEST_CAUSE = 10
_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})")
_UNAUTHORIZED = 401
_FORBIDDEN = 403
PROXY_LOGIN = 407
_SERVER = 500


def reason(error: Exception, timeout_s: int) -> str:
    """Say why the server that was asked directly has not answered.

    Args:
        error: requests'.
        timeout_s: the limit that a timeout has hit.
    """
    if isinstance(error, requests.Timeout):
        return f"no answer within {timeout_s} s"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not trusted"
    return _innermost(error)


def reason_at_proxy(
    error: Exception, proxy: Proxy, *, target: str, key: str, timeout_s: int
) -> str:
    """Say why no answer came through a proxy, and what to do.

    Args:
        error: requests'.
        proxy: what was asked.
        target: what it was to reach: `HOST:PORT`.
        key: of the configuration, that names the proxy.
        timeout_s: the limit that a timeout has hit.
    """
    causes = list(_chain(error))
    tunnel = next(filter(None, (_TUNNEL.match(str(cause)) for cause in causes)), None)
    if tunnel:
        return refusal(int(tunnel[1]), proxy, target=target, key=key)
    if faults := [cause for cause in causes if isinstance(cause, ssl.SSLError)]:
        if not isinstance(error, requests.exceptions.ProxyError):
            return _about_tls(faults[-1], target)
        words = "it speaks no TLS, or its certificate is not trusted; is"
    elif any(isinstance(cause, urllib3.exceptions.NameResolutionError) for cause in causes):
        words = "its name can't be resolved; is"
    elif isinstance(error, requests.Timeout) or any(isinstance(c, TimeoutError) for c in causes):
        # Whose silence it is can't be told: one that waits for GitHub is silent, too.
        return f"no answer within {timeout_s} s; is {key} right, and does it get to {target}?"
    elif isinstance(causes[-1], BadStatusLine) and not isinstance(causes[-1], RemoteDisconnected):
        words = "what answers there is no HTTP proxy; is"
    else:
        words = f"{_innermost(error)}; is it up, and"
    return f"{words} {key} right?"


def refusal(status: int, proxy: Proxy, *, target: str, key: str) -> str:
    """Say what a proxy means by its own answer, and what to do.

    Args:
        status: HTTP's.
        proxy: which one.
        target: what it was to reach.
        key: of the configuration, that names the proxy.
    """
    if status in {PROXY_LOGIN, _UNAUTHORIZED}:
        if proxy.has_credentials:
            return f"it refuses the login ({status}): are user and password in {key} right?"
        return f"it wants a login ({status}): put USER:PASSWORD@ before the host in {key}"
    if status == _FORBIDDEN:
        return f"it forbids {target} ({status}): have it allowed there"
    if status >= _SERVER:
        return f"it can't reach {target} ({status}): its own log says why"
    return f"it does not forward to {target} ({status}): is {key} a proxy that takes CONNECT?"


def _about_tls(fault: ssl.SSLError, target: str) -> str:
    if isinstance(fault, ssl.SSLCertVerificationError):
        return (
            "GitHub's certificate is not trusted; if the proxy opens TLS, name a file with its "
            "CA's certificate in REQUESTS_CA_BUNDLE"
        )
    return f"{target} speaks no TLS through it, or is cut off"


def _innermost(error: Exception) -> str:
    """Name the innermost cause: the outer ones quote addresses and objects."""
    *_, cause = _chain(error)
    if isinstance(cause, RemoteDisconnected):
        return "it closed the connection without an answer"
    if isinstance(cause, IncompleteRead):
        return "it closed the connection in the middle of its answer"
    if isinstance(cause, HTTPException):
        return "what answers there speaks no HTTP"
    return str(getattr(cause, "strerror", None) or type(cause).__name__)


def _chain(error: BaseException) -> Iterator[BaseException]:
    yield error
    for _ in range(_DEEPEST_CAUSE):
        inner = error.__cause__ or error.__context__ or _wrapped(error)
        if inner is None:
            return
        error = inner
        yield error


def _wrapped(error: BaseException) -> BaseException | None:
    # requests and urllib3 hand the cause on as an argument, not as __cause__.
    inner = getattr(error, "reason", None) or next(iter(error.args), None)
    return inner if isinstance(inner, BaseException) else None
