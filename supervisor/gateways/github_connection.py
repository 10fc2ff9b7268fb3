"""The connection to GitHub: directly, or through the proxy that the operator has named."""

from urllib.parse import urlsplit

from github.Requester import HTTPRequestsConnectionClass, HTTPSRequestsConnectionClass

from supervisor.gateways.http_session import lead, trusted
from supervisor.web.proxies import Proxy

Connection = HTTPRequestsConnectionClass | HTTPSRequestsConnectionClass


def connect(api_url: str, proxy: Proxy | None, timeout_s: int) -> Connection:
    """Make a connection for PyGithub, which offers no proxy itself. Nothing is sent yet.

    Args:
        api_url: the base of the REST API.
        proxy: what it goes through; None if GitHub is asked directly.
        timeout_s: for each of: connecting, the proxy's answer, GitHub's answer.
    """
    parts = urlsplit(api_url)
    host = parts.hostname or ""
    is_https = parts.scheme == "https"
    made = (HTTPSRequestsConnectionClass if is_https else HTTPRequestsConnectionClass)(
        f"[{host}]" if ":" in host else host,
        parts.port,
        timeout=timeout_s,
        verify=trusted(),
    )
    lead(made.session, parts.scheme, proxy)
    return made
