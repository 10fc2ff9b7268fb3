"""How the daemon asks by HTTP: which certificates it trusts, and through which proxy it asks."""

import base64
import os
from urllib.parse import unquote_to_bytes, urlsplit

from requests import Session
from requests.adapters import HTTPAdapter

from supervisor.web.proxies import Proxy

CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
"""Variables of the environment that name the certificates to be trusted."""


def trusted() -> str | bool:
    """Say which certificates are trusted: a file that the environment names, or the usual ones."""
    return next(filter(None, map(os.environ.get, CERTIFICATES)), True)


def lead(session: Session, scheme: str, proxy: Proxy | None) -> None:
    """Have a session ask through a proxy, or directly.

    The configuration alone says which, whatever environment this process got.
    """
    session.trust_env = False
    if proxy is not None:
        session.proxies = {scheme: str(proxy)}
        session.mount(f"{scheme}://", _ThroughProxy(proxy))


class _ThroughProxy(HTTPAdapter):
    """Logs in at a proxy, and keeps user and password out of its address.

    Libraries quote addresses in their errors.
    """

    def __init__(self, proxy: Proxy) -> None:
        super().__init__()
        self._proxy = proxy

    def proxy_headers(self, proxy: str) -> dict[str, str]:  # noqa: ARG002 - it lacks the login
        """Give the headers that are for the proxy alone."""
        if not self._proxy.has_credentials:
            return {}
        parts = urlsplit(self._proxy.url)
        login = b":".join(unquote_to_bytes(part or "") for part in (parts.username, parts.password))
        return {"Proxy-Authorization": f"Basic {base64.b64encode(login).decode()}"}
