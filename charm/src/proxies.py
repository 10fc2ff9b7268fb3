"""The model's proxies, which Juju tells every hook of and sets nowhere itself."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class ModelProxies:
    """What the model says of proxies; what it doesn't set is empty.

    Attributes:
        http: the model's `juju-http-proxy`.
        https: the model's `juju-https-proxy`.
        no_proxy: the model's `juju-no-proxy`, hosts and networks separated by commas.
    """

    http: str = ""
    https: str = ""
    no_proxy: str = ""

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "ModelProxies":
        """Read them from a hook's environment.

        Juju sets JUJU_CHARM_HTTP_PROXY and its like in every hook, empty where the model has none:
        https://documentation.ubuntu.com/juju/3.6/reference/hook/
        """

        def value(name: str) -> str:
            return environment.get(f"JUJU_CHARM_{name}", "").strip()

        return cls(value("HTTP_PROXY"), value("HTTPS_PROXY"), value("NO_PROXY"))

    def __bool__(self) -> bool:
        """Whether there is a proxy at all: exceptions alone change nothing."""
        return bool(self.http or self.https)

    def environment(self) -> dict[str, str]:
        """Give them as programs read them, some in small letters and some in capitals."""
        if not self:
            return {}
        given = {"http_proxy": self.http, "https_proxy": self.https, "no_proxy": self.no_proxy}
        small = {name: value for name, value in given.items() if value}
        return {**small, **{name.upper(): value for name, value in small.items()}}
