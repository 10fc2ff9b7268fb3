"""A prepared image, which its alias names."""

from __future__ import annotations

from fake_actors import image_of
from waiting import eventually

from supervisor.messages.image import BuildRefused
from supervisor.messages.upgrades import ApplicationChanged
from supervisor.work.image import ImageFailed
from tests.unit.actors.image.play import HOUR, NEWER, PREPARED, Play


def test_a_prepared_image_is_used_as_its_alias_means_it(prepared: Play) -> None:
    prepared.run(furnished=False)
    prepared.starts_from(PREPARED)
    assert prepared.shown == ("ready", f"github-runner ({PREPARED[:12]})")
    assert prepared.detail("warnings") == ()


def test_an_alias_that_means_another_image_is_noticed_within_a_minute(prepared: Play) -> None:
    prepared.run()
    prepared.starts_from(PREPARED)
    prepared.scene.aliases["github-runner"] = "d4" * 32
    prepared.pass_time(60)
    prepared.starts_from("d4" * 32)


def test_with_a_prepared_image_lxd_is_not_tidied_once_nothing_of_ours_is_there(
    prepared: Play,
) -> None:
    calls = prepared.scene.calls
    prepared.scene.add("d1" * 32)  # the newest good one is never removed
    prepared.run()
    prepared.pass_time(60)
    eventually(lambda: calls.count("clean_up") >= 2)
    prepared.settle()
    prepared.scene.images.clear()
    tidied = calls.count("clean_up")
    prepared.pass_time(60)
    eventually(lambda: calls.count("clean_up") > tidied)
    tidied, resolved = calls.count("clean_up"), calls.count("resolve")
    prepared.pass_time(60)
    eventually(lambda: calls.count("resolve") > resolved)
    prepared.settle()
    assert calls.count("clean_up") == tidied


def test_without_its_alias_there_is_no_image_and_the_operator_reads_what_to_do(
    prepared: Play,
) -> None:
    prepared.scene.aliases.clear()
    prepared.run()
    prepared.lacks("LXD has no image with the alias github-runner: import it")
    assert (prepared.shown[0], prepared.detail("cause")) == ("failing", "image-missing")
    prepared.scene.aliases["github-runner"] = PREPARED
    prepared.pass_time(2)
    prepared.starts_from(PREPARED)
    assert prepared.detail("cause") == ""
    prepared.scene.aliases.clear()
    prepared.pass_time(60)
    prepared.lacks("LXD has no image with the alias github-runner")


def test_while_lxd_is_away_a_prepared_image_stays_in_use(prepared: Play) -> None:
    prepared.run()
    prepared.starts_from(PREPARED)
    for call in ("resolve", "clean_up"):
        prepared.scene.faults[call] = ImageFailed("LXD is away", outage=True)
    prepared.pass_time(60)
    prepared.settle()
    assert prepared.fleet[-1] == image_of(PREPARED)
    assert prepared.shown[0] == "ready"
    assert prepared.detail("warnings") == ()


def test_a_prepared_image_is_found_soon_after_lxd_is_there(prepared: Play) -> None:
    prepared.scene.faults["resolve"] = ImageFailed("LXD is away", outage=True)
    prepared.run()
    prepared.lacks("LXD is away")
    prepared.settle()
    prepared.scene.faults.clear()
    prepared.pass_time(2)
    prepared.starts_from(PREPARED)


def test_with_a_prepared_image_nothing_is_built_not_even_by_order(prepared: Play) -> None:
    prepared.run()
    prepared.starts_from(PREPARED)
    refused = prepared.order()
    assert isinstance(refused, BuildRefused)
    assert "lxd.image names a prepared image, github-runner" in refused.reason
    prepared.tell(ApplicationChanged(NEWER))
    prepared.pass_time(7 * HOUR)
    prepared.settle()
    assert prepared.scene.builds == []
