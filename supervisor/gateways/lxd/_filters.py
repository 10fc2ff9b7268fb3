"""What LXD filters at its bridges: made anew, as LXD never looks at it again by itself."""

from __future__ import annotations

from collections.abc import Mapping

from supervisor.gateways.lxd._connection import Connection
from supervisor.gateways.lxd._errors import LxdError, Refused

_INTERFACE = "eth0"
_OF_GUEST = "security.mac_filtering"
_OF_NETWORK = "ipv4.firewall"
# LXD takes each pair for the same.
_OTHERWISE = {"true": "1", "1": "true", "false": "0", "0": "false"}
_OTHERWISE |= {"yes": "true", "on": "true", "no": "false", "off": "false", "": "true"}


class Filters(Connection):
    """The calls about what LXD filters; all block, any thread may make them."""

    def renew_filters(self, name: str) -> None:
        """Have LXD make the filters of a running instance's interface anew.

        LXD does so when an option of the interface changes that it can change in a running
        instance, and another spelling of "true" is a change. The interface stays as it is, and so
        do its connections. (Other keys, those of `user.` too, would have LXD replace it.)

        Raises:
            NotFound: There is no such instance.
            Refused: It has no filters, or LXD refuses.
            LxdError: Anything else.
        """
        aim = f"have the filters of instance {name} made anew"
        found = self._call(aim, "get", "instances", name).metadata
        try:
            device = dict((found["devices"] or {}).get(_INTERFACE) or {})
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise LxdError(f"could not {aim}: LXD describes it in an unknown way") from error
        if _OF_GUEST not in device:
            raise Refused(f"could not {aim}: its device {_INTERFACE} has no {_OF_GUEST}")
        device[_OF_GUEST] = _OTHERWISE.get(device[_OF_GUEST].lower(), "true")
        body = {"devices": {_INTERFACE: device}}
        answer = self._call(aim, "patch", "instances", name, json=body)
        self._finish(aim, answer, limit_s=self.endpoint.timeout_s)

    def network_config(self, name: str) -> Mapping[str, str]:
        """Return the configuration of a network.

        Raises:
            NotFound: There is no such network.
            LxdError: LXD can't be asked.
        """
        aim = f"look at network {name}"
        try:
            found = self._call(aim, "get", "networks", name).metadata
            return dict(found.get("config") or {})
        except (AttributeError, TypeError, ValueError) as error:
            raise LxdError(f"could not {aim}: LXD describes it in an unknown way") from error

    def renew_network(self, name: str) -> None:
        """Have LXD make the rules of its bridge anew; its settings are what they were after that.

        LXD sets the bridge up again when a setting changes, and another spelling is a change. That
        takes less than a second, for which its DNS is away; connections last. Twice, as the first
        change is taken back.

        Raises:
            NotFound: There is no such network.
            LxdError: Anything else.
        """
        aim = f"have the rules of network {name} made anew"
        before = self.network_config(name).get(_OF_NETWORK, "")
        for value in (_OTHERWISE.get(before.lower(), "true"), before):
            body = {"config": {_OF_NETWORK: value}}
            answer = self._call(aim, "patch", "networks", name, json=body)
            self._finish(aim, answer, limit_s=self.endpoint.timeout_s)
