import itertools
from typing import Any

import pytest

from sandbox.lxd_choice import Answer, Choice, Machine, Source, choose

DEBIAN = frozenset({"debian"})
UBUNTU = frozenset({"ubuntu", "debian"})


def test_an_lxd_that_answers_is_used() -> None:
    assert choose(Machine(answer=Answer.READY)).source is Source.EXISTING
    ours = Machine(answer=Answer.READY, is_root=False)
    assert choose(ours) == Choice(Source.EXISTING, "it answers")


def test_the_emulator_is_used_where_it_is_asked_for() -> None:
    assert choose(Machine(answer=Answer.READY), use_emulator=True).source is Source.EMULATOR


def test_another_system_than_linux_gets_the_emulator() -> None:
    choice = choose(Machine(system="Darwin"))
    assert choice == Choice(Source.EMULATOR, "LXD needs Linux, and this is Darwin")


def test_an_lxd_without_containers_gives_the_emulator() -> None:
    assert choose(Machine(answer=Answer.UNABLE)).source is Source.EMULATOR


@pytest.mark.parametrize("answer", [Answer.DENIED, Answer.NONE])
def test_who_is_not_root_goes_by_sudo_or_gets_the_emulator(answer: Answer) -> None:
    machine = Machine(answer=answer, is_root=False, can_sudo=True)
    assert choose(machine).source is Source.SUDO
    choice = choose(Machine(answer=answer, is_root=False))
    assert choice.source is Source.EMULATOR
    assert "neither root nor have sudo" in choice.reason


def test_debian_installs_its_package_and_only_what_is_missing() -> None:
    choice = choose(Machine(distribution=DEBIAN, has_systemd=True, has_busybox=False))
    assert choice.source is Source.SERVICE
    assert choice.packages == ("lxd", "lxd-client", "dnsmasq-base", "nftables", "busybox")
    assert "busybox" not in choose(Machine(distribution=DEBIAN)).packages


def test_without_systemd_the_lxd_is_private() -> None:
    assert choose(Machine(distribution=DEBIAN)).source is Source.PRIVATE
    installed = choose(Machine(distribution=DEBIAN, has_lxd=True))
    assert installed == Choice(Source.PRIVATE, "LXD is installed and not running")


def test_an_installed_lxd_is_started_where_systemd_is() -> None:
    choice = choose(Machine(has_lxd=True, has_systemd=True))
    assert choice == Choice(Source.SERVICE, "LXD is installed and not running")


def test_ubuntu_installs_the_snap() -> None:
    choice = choose(Machine(distribution=UBUNTU, has_snapd=True, has_busybox=False))
    assert (choice.source, choice.snap) == (Source.SERVICE, True)
    assert choice.packages == ("busybox-static",)
    assert choose(Machine(distribution=UBUNTU)).source is Source.EMULATOR


def test_an_unknown_distribution_gets_the_emulator() -> None:
    choice = choose(Machine(distribution=frozenset({"arch"})))
    assert choice.source is Source.EMULATOR
    assert "arch" in choice.reason


def test_a_missing_busybox_is_installed_beside_an_existing_lxd_or_the_emulator_does() -> None:
    lacking: dict[str, Any] = {"answer": Answer.READY, "has_busybox": False, "distribution": DEBIAN}
    assert choose(Machine(**lacking)).packages == ("busybox",)
    helpless = choose(Machine(**lacking, is_root=False))
    assert helpless.source is Source.EMULATOR
    assert helpless.reason.startswith("busybox is missing")


def test_nft_is_installed_for_root_who_alone_can_use_it_and_where_it_can_be_had() -> None:
    lacking: dict[str, Any] = {"answer": Answer.READY, "has_nft": False}
    assert choose(Machine(**lacking)).packages == ("nftables",)
    assert choose(Machine(**lacking, has_apt=False)) == Choice(Source.EXISTING, "it answers")
    assert choose(Machine(**lacking, is_root=False)) == Choice(Source.EXISTING, "it answers")
    assert choose(Machine(has_lxd=True, has_nft=False)).packages == ("nftables",)


def test_every_machine_gets_an_answer_with_a_reason_and_nothing_is_installed_for_the_emulator() -> (
    None
):
    flags = (
        "has_lxd", "has_busybox", "has_nft", "has_apt", "has_systemd", "has_snapd", "is_root",
        "can_sudo",
    )  # fmt: skip
    for answer, distribution in itertools.product(Answer, (DEBIAN, UBUNTU, frozenset[str]())):
        for values in itertools.product((True, False), repeat=len(flags)):
            given: dict[str, Any] = dict(zip(flags, values, strict=True))
            choice = choose(Machine(answer=answer, distribution=distribution, **given))
            assert choice.reason
            if choice.source in {Source.EMULATOR, Source.SUDO}:
                assert not choice.packages
                assert not choice.snap
            if choice.packages and choice.source is not Source.EXISTING:
                assert given["is_root"]
