"""The dashboards are such as Grafana takes, and show what is so."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from prometheus import promtool

from tests.unit.charm.observation import METADATA, dashboards, targets


def test_a_dashboard_is_one_that_grafana_takes_and_keeps() -> None:
    assert dashboards()
    for dashboard in dashboards():
        # Of another form Grafana's charm would replace it by the hash of a path of the collector's.
        assert re.fullmatch(r"[0-9a-f]{40}", dashboard["uid"])
        assert f"charm: {METADATA['name']}" in dashboard["tags"]
        numbers = [panel["id"] for panel in dashboard["panels"]]
        assert len(set(numbers)) == len(numbers)
        names = {variable["name"] for variable in dashboard["templating"]["list"]}
        names.add("__range")  # Grafana's own
        assert set(re.findall(r"\$\{?([a-z_]+)\}?", json.dumps(dashboard["panels"]))) <= names


def test_no_two_panels_of_a_dashboard_have_the_same_title() -> None:
    for dashboard in dashboards():
        titles = [panel["title"] for panel in dashboard["panels"]]
        assert len(set(titles)) == len(titles)


def test_a_number_is_green_only_where_nothing_is_wrong() -> None:
    panels = [panel for dashboard in dashboards() for panel in dashboard["panels"]]
    colours = {
        panel["title"]: [
            (step["value"], step["color"])
            for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        ]
        for panel in panels
        if panel["type"] == "stat"
    }
    assert colours["Problems"] == [(None, "green"), (1, "red")]
    assert colours["Warnings"] == [(None, "green"), (1, "orange")]
    for title in ("There", "Free runners", "Daemons up"):
        assert colours[title] == [(None, "red"), (1, "green")]


def test_panels_do_not_overlap() -> None:
    for dashboard in dashboards():
        taken: set[tuple[int, int]] = set()
        for panel in dashboard["panels"]:
            at = panel["gridPos"]
            assert at["x"] + at["w"] <= 24
            cells = {
                (x, y)
                for x in range(at["x"], at["x"] + at["w"])
                for y in range(at["y"], at["y"] + at["h"])
            }
            assert not taken & cells
            taken |= cells


def test_what_is_of_the_whole_range_is_asked_once_and_not_at_each_point_of_it() -> None:
    for dashboard in dashboards():
        for panel in dashboard["panels"]:
            for target in panel.get("targets", ()):
                if "$__range" in target["expr"]:
                    assert panel["type"] == "stat", panel["title"]
                    assert (target["instant"], target["range"]) == (True, False), panel["title"]


def all_chosen(query: str) -> str:
    """Have each variable stand for what `All` does, and six hours shown."""
    return re.sub(r'"\$\w+"', '".*"', query).replace("$__range", "6h")


def test_loki_takes_each_query_also_while_all_is_chosen() -> None:
    # It refuses one without a matcher that leaves something out.
    asked = [target["expr"] for one in dashboards() for target in targets(one, "loki")]
    assert asked
    for query in asked:
        selector = all_chosen(query).partition("}")[0]
        operators = re.findall(r'\w+(=~|=)"([^"]*)"', selector)
        assert any(
            not re.fullmatch(value if operator == "=~" else re.escape(value), "")
            for operator, value in operators
        ), query


def query_of(title: str) -> str:
    (query,) = (
        target["expr"]
        for dashboard in dashboards()
        for panel in dashboard["panels"]
        if panel["title"] == title
        for target in panel["targets"]
    )
    return all_chosen(query)


def complaint(
    directory: Path, title: str, series: dict[str, str], hour: int, samples: dict[str, float]
) -> str:
    """Say what promtool complains of, if what a panel shows is not as expected.

    Args:
        directory: for what it reads.
        title: the panel's.
        series: what Prometheus has seen, each minute.
        hour: when the panel is looked at.
        samples: what it is to show, by the labels.
    """
    expected = [{"labels": labels, "value": value} for labels, value in samples.items()]
    asked = {"expr": query_of(title), "eval_time": f"{hour}h", "exp_samples": expected}
    given = [{"series": name, "values": told} for name, told in series.items()]
    test = {"interval": "1m", "input_series": given, "promql_expr_test": [asked]}
    path = directory / "test.yaml"
    path.write_text(yaml.safe_dump({"tests": [test]}), encoding="utf-8")
    return promtool("test", "rules", path)


def page_of(unit: int, info: str, *, up: str = "1x360", value: str = "0x360") -> dict[str, str]:
    """Give what is seen of a page of ours.

    Args:
        unit: the unit's number.
        info: when the page is there, in promtool's notation.
        up: whether it could be read.
        value: of each of the process's metrics.
    """
    labels = f'juju_model_uuid="u", juju_unit="ci/{unit}", instance="i", job="ours"'
    processes = ("process_cpu_seconds_total", "process_resident_memory_bytes")
    return {
        f'github_runner_supervisor_build_info{{version="1", {labels}}}': info,
        f"up{{{labels}}}": up,
        **{f"{name}{{{labels}}}": value for name in processes},
    }


OTHERS = {
    f'{name}{{{labels}instance="i", job="{job}"}}': "1+60x360"
    for name in ("process_cpu_seconds_total", "process_resident_memory_bytes", "up")
    for labels, job in (
        ("", "loki"),
        ('juju_model_uuid="u", juju_unit="ci/0", ', "the collector"),
        ('juju_model_uuid="u", juju_unit="postgresql/0", ', "ours"),
    )
}
AN_HOUR, FIVE_HOURS = "1x59", "_x60 1x300"


def test_daemons_up_are_ours_and_a_dead_one_shows(tmp_path: Path) -> None:
    dead = page_of(0, AN_HOUR, up="1x59 0x300")
    assert complaint(tmp_path, "Daemons up", {**OTHERS, **dead}, 6, {"{}": 0}) == ""


def test_daemons_are_all_up_only_if_none_is_down(tmp_path: Path) -> None:
    one, other, dead = page_of(0, "1x360"), page_of(1, FIVE_HOURS), page_of(2, AN_HOUR)
    assert complaint(tmp_path, "Daemons up", {**OTHERS, **one, **other}, 6, {"{}": 1}) == ""
    both = {**OTHERS, **one, **dead}
    assert complaint(tmp_path, "Daemons up", both, 6, {"{}": 0.5}) == ""


def test_a_daemon_that_was_upgraded_is_one(tmp_path: Path) -> None:
    seen = page_of(0, AN_HOUR)
    (info,) = (name for name in seen if "build_info" in name)
    seen[info.replace('version="1"', 'version="2"')] = FIVE_HOURS
    assert complaint(tmp_path, "Daemons up", seen, 6, {"{}": 1}) == ""
    assert complaint(tmp_path, "Availability", seen, 6, {"{}": 1}) == ""


@pytest.mark.parametrize(
    ("info", "share"),
    [
        ("1x360", 1),
        (FIVE_HOURS, 1),  # it was deployed then
        # There at 36 of 73 looks, at the next, as it is remembered for so long, and at the last.
        ("1x176 _x180 1x3", 38 / 73),
    ],
)
def test_time_in_which_nothing_was_heard_of_a_unit_is_not_taken_for_time_that_it_was_there(
    info: str, share: float, tmp_path: Path
) -> None:
    assert (
        complaint(tmp_path, "Availability", {**OTHERS, **page_of(0, info)}, 6, {"{}": share}) == ""
    )


@pytest.mark.parametrize(
    ("title", "value"),
    [("The daemon's processor time", "0+3x360"), ("The daemon's memory", "0.05x360")],
)
def test_what_the_daemon_takes_is_not_what_others_take(
    title: str, value: str, tmp_path: Path
) -> None:
    seen = {**OTHERS, **page_of(0, "1x360", value=value)}
    labels = "" if "memory" in title else 'juju_model_uuid="u", instance="i", job="ours", '
    expected = {f'{{{labels}juju_unit="ci/0"}}': 0.05}
    assert complaint(tmp_path, title, seen, 6, expected) == ""
