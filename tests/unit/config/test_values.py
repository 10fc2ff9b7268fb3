"""What the right values of a configuration mean."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.config import parse
from supervisor.lifecycle import Limits
from tests.unit.config.examples import MINIMUM, refusal


def durations(text: str) -> timedelta:
    return parse({**MINIMUM, "reconcile-interval": text}, "x").reconcile_interval


@pytest.mark.parametrize("ports", ["443,80, 80", [443, 80], [443, "80"]])
def test_ports_are_a_list_or_words_with_commas(ports: object) -> None:
    assert parse({**MINIMUM, "aproxy-redirect-ports": ports}, "x").aproxy_redirect_ports == (
        80,
        443,
    )


@given(st.integers(1, 3600), st.sampled_from("smhd"))
def test_a_duration_is_a_number_and_a_unit(number: int, unit: str) -> None:
    length = {"s": 1, "m": 60, "h": 3600, "d": 86400}[unit]
    if number * length <= 365 * 86400:
        assert durations(f"{number}{unit}") == timedelta(seconds=number * length)
        assert durations(f" {number} {unit} ") == durations(f"{number}{unit}")


def test_a_duration_may_have_a_fraction() -> None:
    assert durations("0.5m") == timedelta(seconds=30)


@pytest.mark.parametrize("labels", ["large, gpu", ["large", "gpu"], ",large,,gpu , "])
def test_labels_are_a_list_or_words_with_commas(labels: object) -> None:
    assert parse({**MINIMUM, "labels": labels}, "x").labels == ("large", "gpu")


def test_labels_are_as_many_as_github_takes_with_the_three_given_ones() -> None:
    labels = [f"label-{number}" for number in range(98)]
    assert len(parse({**MINIMUM, "labels": labels[:97]}, "x").labels) == 97
    assert refusal(labels=labels).startswith("config.yaml: labels: must be at most 97: ")
    assert parse({**MINIMUM, "labels": ["x" * 256]}, "x").labels == ("x" * 256,)
    assert "labels.0" in refusal(labels=["x" * 257])


@pytest.mark.parametrize("path", ["acme", "enterprises/acme"])
def test_organisations_and_enterprises_have_runner_groups(path: str) -> None:
    assert parse({**MINIMUM, "path": path, "group": "gpu: größer"}, "x").group == "gpu: größer"


def test_metadata_services_of_clouds_are_denied_unless_an_operator_opens_them() -> None:
    assert [str(network) for network in parse(MINIMUM, "x").denylist] == ["169.254.0.0/16"]
    assert parse({**MINIMUM, "denylist": ""}, "x").denylist == ()
    assert parse({**MINIMUM, "denylist": []}, "x").denylist == ()


def test_a_repository_has_no_runner_group_but_the_default() -> None:
    line = refusal(path="acme/demo", group="gpu")
    assert line == (
        "config.yaml: group: the repository acme/demo has no runner groups; leave it out"
    )
    assert parse({**MINIMUM, "path": "acme/demo", "group": "default"}, "x").group == "default"


def test_how_long_a_runner_may_be_offline_is_no_limit_of_a_stage() -> None:
    limits = parse({**MINIMUM, "limits": {"booting": "1m", "offline": "2m"}}, "x").limits
    assert limits.offline == timedelta(minutes=2)
    assert limits.limits() == Limits(booting=timedelta(minutes=1))
    assert parse(MINIMUM, "x").limits.offline == timedelta(minutes=5)


@pytest.mark.parametrize(
    ("given_", "kept"),
    [
        ("pool", "pool"),
        ("memory", "memory"),
        ("juju-storage", "/storage/juju"),
        ("/srv/runners", "/srv/runners"),
        ("/srv//runners/", "/srv/runners"),
    ],
)
def test_the_places_of_runners_disks_are_taken(given_: str, kept: str) -> None:
    assert parse({**MINIMUM, "runner-storage": given_}, "x").runner_storage == kept


@pytest.mark.parametrize(
    ("written_", "read"),
    [
        ("jammy", "jammy"),
        (24.04, "24.04"),
        ("images:debian/12/cloud", "images:debian/12/cloud"),
        ("https://images.example.com/streams:debian/12", "https://images.example.com/streams:debian/12"),
        ("my-own", "my-own"),
    ],
)  # fmt: skip
def test_the_base_image_is_named_as_operators_know_it(written_: object, read: str) -> None:
    assert parse({**MINIMUM, "base-image": written_}, "x").base_image == read


def test_packages_are_a_list_or_separated_by_commas() -> None:
    for packages in ("cmake, libpq-dev", ["cmake", "libpq-dev"]):
        found = parse({**MINIMUM, "image-extra-packages": packages}, "x").image_extra_packages
        assert found == ("cmake", "libpq-dev")


@pytest.mark.parametrize(
    ("size", "in_bytes"), [("16KiB", 16384), ("1MiB", 1 << 20), ("16MiB", 16 << 20)]
)
def test_the_size_of_a_log_is_told_in_bytes(size: str, in_bytes: int) -> None:
    assert parse({**MINIMUM, "logs": {"size": size}}, "x").logs.most_bytes == in_bytes
