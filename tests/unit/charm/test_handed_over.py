"""What of the options and the model is handed over to the machine."""

from typing import Any

import pytest
from charm_world import World
from ops.testing import ActiveStatus


def test_the_channel_of_lxd_is_the_option(world: World) -> None:
    world.set(lxd_channel="6/stable")
    world.run(world.ctx.on.install())
    world.run(world.ctx.on.upgrade_charm())
    assert world.machine.done == ["install 6/stable", "apply", "upgrade 6/stable", "prepare-lxd"]


def test_the_model_s_proxies_are_passed_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUJU_CHARM_HTTP_PROXY", "http://proxy.example.com:3128")
    monkeypatch.setenv("JUJU_CHARM_NO_PROXY", "127.0.0.1,localhost,::1,.example.com")
    world.deploy()
    assert world.machine.document["http-proxy"] == "http://proxy.example.com:3128"
    assert world.machine.proxies["HTTP_PROXY"] == "http://proxy.example.com:3128"
    assert world.machine.proxies["no_proxy"] == "127.0.0.1,localhost,::1,.example.com"
    assert world.machine.installs_through == world.machine.proxies
    assert isinstance(world.status, ActiveStatus)


def test_the_servers_of_debug_ssh_come_into_the_configuration(deployed: World, event: Any) -> None:
    server = {
        "host": "10.5.0.7",
        "port": 10022,
        "rsa-fingerprint": "SHA256:ovh8Zf0fzPbDnFyfp1Hrl2nOxNDlWcGEkWVaHnRJ2+s",
        "ed25519-fingerprint": "SHA256:yVbQu2mVd7hJ2OEb4R0k7bvSuDPrrkOUNfDZqyXEnKk",
    }
    deployed.debug_servers = [server]
    deployed.run(event(deployed))
    assert deployed.machine.document["ssh-debug"] == [server]

    deployed.debug_servers = []
    deployed.run(event(deployed))
    assert deployed.machine.document["ssh-debug"] == []


def test_the_text_of_the_image_s_script_is_handed_over(deployed: World) -> None:
    deployed.set(image_script="#!/bin/sh\napt-get install -y cmake\n")
    deployed.run(deployed.ctx.on.config_changed())
    assert deployed.machine.script == "#!/bin/sh\napt-get install -y cmake\n"

    deployed.set(image_script=None)
    deployed.run(deployed.ctx.on.config_changed())
    assert deployed.machine.script == ""
