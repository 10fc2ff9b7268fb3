"""The real script makes a runner's image of a stock system: Debian, systemd, cloud-init, apt."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from cloud_image import build_cloud_image
from image_servers import Packages, serving
from image_stand import Stand

from sandbox.private_lxd import PrivateLxd
from supervisor.gateways.lxd import Lxd
from supervisor.guest import GuestParameters, user_data
from supervisor.images.base import BaseImage
from supervisor.runners.instances import instance_request
from supervisor.web.proxies import Proxies, Proxy
from supervisor.work.image import ImageFailed, ImageReady, ImageWork
from tests.integration.guest.conftest import (
    JIT_CONFIG,
    TOKEN,
    Inbox,
    inbox,
    pack_application,
    start_host,
)

__all__ = ["inbox", "start_host"]

BASE = "stock-with-packages"
SECRET = "hunter22hunter22"
READY = {"signal": "ready"}
FINISHED = {"signal": "finished", "exit-code": "0"}
pytestmark = pytest.mark.timeout(420)  # the stock system itself may have to be made


@dataclass
class GuestVerification:
    """A guest that has its application, and so fetches none, says that it is ready, and ends."""

    inbox: Inbox
    sha256: str
    lxd: Lxd
    said: list[Any] = field(default_factory=list)

    def parameters(self, name: str) -> str:
        return user_data(
            GuestParameters(
                runner_name=name,
                jit_config=JIT_CONFIG,
                signal_url=f"{self.inbox.base}/v1/runners/{name}/signals",
                signal_token=TOKEN,
                application_url="http://127.0.0.1:9/none",
                application_sha256=self.sha256,
            )
        )

    def wait(self, name: str, limit_s: float) -> str:
        deadline = time.monotonic() + min(limit_s, 60)
        while FINISHED not in self.inbox.signals:
            if time.monotonic() > deadline or any("reason" in one for one in self.inbox.signals):
                return f"{self.inbox.signals} {self.lxd.console_log(name)[-2000:]}"
            time.sleep(0.05)
        self.said = self.inbox.signals[:]
        self.inbox.signals.clear()
        return ""

    def forget(self, name: str) -> None:
        """Expect it no more, which is of no account here."""


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Packages:
    made = Packages(tmp_path_factory.mktemp("packages"))
    made.add_those_of_images()
    return made


@pytest.fixture(scope="module")
def base(real_lxd: PrivateLxd, packages: Packages) -> Iterator[str]:
    """Return the alias of a stock system whose packages are had from this host."""
    lxd = Lxd(replace(real_lxd.endpoint, timeout_s=60))
    metadata, rootfs = build_cloud_image()
    stock = lxd.import_image(metadata, rootfs, alias="stock")
    address = str(lxd.bridge_address(real_lxd.network).ip)
    request = {
        "name": "base",
        "source": {"type": "image", "fingerprint": stock},
        "profiles": [real_lxd.profile],
        "devices": {"root": {"type": "disk", "path": "/", "pool": real_lxd.pool}},
    }
    with serving(packages.directory, address) as url:
        lxd.create(request, limit_s=60)
        sources = f"deb [trusted=yes] {url} ./\n".encode()
        lxd.push_file("base", "/etc/apt/sources.list", sources, mode=0o644, limit_s=30)
        fingerprint = lxd.publish("base", {}, limit_s=60)
        lxd.delete("base", limit_s=30)
        lxd.name_image(BASE, fingerprint)
        yield BASE
    lxd.delete_image(fingerprint)
    lxd.delete_image(stock)


@pytest.fixture
def work(stand: Stand, base: str, inbox: Inbox) -> ImageWork:
    stand.archive.write_bytes(pack_application("exit 0"))
    proxy = Proxy(f"http://user:{SECRET}@127.0.0.1:9")
    host = inbox.server_address[0]
    proxies = Proxies(http=proxy, https=proxy, exceptions=(str(host),))
    return stand.work(base=BaseImage.parse(base), packages=("htop",), proxies=proxies)


def _verification(stand: Stand, inbox: Inbox) -> GuestVerification:
    digest = hashlib.sha256(stand.archive.read_bytes()).hexdigest()
    return GuestVerification(inbox, digest, stand.lxd)


def test_a_stock_system_becomes_an_image_that_lacks_nothing_and_is_built_anew_when_it_ages(
    stand: Stand, work: ImageWork, packages: Packages, inbox: Inbox, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    own.write_text('#!/bin/sh\necho "$RUNNER_USER $RUNNER_HOME $(id -un)" >/etc/own\n')
    work = replace(work, settings=replace(work.settings, script=own))
    verification = _verification(stand, inbox)
    ready = stand.ensure(work, verification)
    assert isinstance(ready, ImageReady), (ready, stand.said)
    assert verification.said == [READY, FINISHED]
    assert not any(SECRET in line for line in stand.said)

    stand.lxd.create(_sleeper(stand, ready.image.fingerprint), limit_s=60)
    stand.lxd.start("runner", limit_s=60)
    looks = {
        "id -nG runner | tr ' ' '\\n' | sort": "docker\nmicrok8s\nrunner",
        "cat /etc/own": "runner /opt/actions-runner root",
        "cat /opt/actions-runner/.sha256": verification.sha256,
        "stat -c '%a %U' /opt/actions-runner/.sha256 /etc/sudoers.d/github-runner": (
            "644 root\n440 root"
        ),
        "cat /etc/sudoers.d/github-runner": "runner ALL=(ALL) NOPASSWD:ALL",
        "grep -c 'iptables -I DOCKER-USER -j ACCEPT' "
        "/etc/systemd/system/docker.service.d/github-runner-accept.conf": "1",
        "which yarn yq htop": "/usr/local/bin/yarn\n/usr/bin/yq\n/usr/bin/htop",
        "ls -d /var/lib/github-runner-* /var/lib/apt/lists/* /etc/ssh/ssh_host_* 2>&-": "",
        f"grep -rlF {SECRET[:8]}''{SECRET[8:]} /etc /var /root /home /opt /tmp /run 2>&-": "",
    }
    assert {command: _said(stand, command) for command in looks} == looks

    fresh = stand.ensure(work, verification, probing=True)
    assert isinstance(fresh, ImageReady)
    assert (fresh.built, fresh.remark) == (False, "")

    # Another build, for which one package is not to be had any more: it is named.
    packages.add("jq", {"usr/bin/jq": "#!/bin/sh\n"}, version="99.0")
    packages.remove("htop")
    failed = stand.ensure(work, verification, probing=True)
    assert "out of date: jq" in stand.said
    assert isinstance(failed, ImageFailed)
    reason = r'failed at the step "install packages" with 100: .*package htop; the build'
    assert re.search(reason, failed.reason), failed
    assert stand.half_made() == []
    assert stand.listing() == [ready.image.fingerprint]


def _sleeper(stand: Stand, fingerprint: str) -> dict[str, Any]:
    template = stand.settings().template
    script = "#!/bin/sh\n"
    request = instance_request(template, name="runner", user_data=script, metadata={})
    return {**request, "source": {"type": "image", "fingerprint": fingerprint}}


def _said(stand: Stand, command: str) -> str:
    lines: list[str] = []
    stand.lxd.run("runner", ("/bin/sh", "-c", command), take=lines.append, limit_s=60)
    return "\n".join(lines)
