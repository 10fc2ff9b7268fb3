"""Draw the dashboards in docs/images, from what a Prometheus has seen of a running fleet.

Grafana is in no distribution that the tests run on: each panel is drawn here, where it stands in
the dashboard, from the answers to the dashboard's own queries. It takes matplotlib, which nothing
else needs:

    python -m venv .cache/pictures && .cache/pictures/bin/pip install matplotlib requests
    .cache/pictures/bin/python scripts/dashboard_pictures.py http://127.0.0.1:9090 --minutes 10
"""

from __future__ import annotations

import argparse
import json
import math
import re
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
import requests
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator
from PIL import Image

_ROOT = Path(__file__).parents[1]
_DASHBOARDS = _ROOT / "charm" / "src" / "grafana_dashboards"
_IMAGES = _ROOT / "docs" / "images"
_COLUMNS, _WIDTH_INCH, _ROW_INCH = 24, 15.0, 0.33
_DOTS_PER_INCH = 72
_POINTS = 240
_MOST_IN_LEGEND = 18
_LEGEND_ROW_INCH, _LETTER_INCH = 0.13, 0.055
_MANY = 100
_COLOURS = 256
_LINES = (*mpl.color_sequences["tab10"], "black", "gold", *mpl.color_sequences["Dark2"])
_MOST_TICKS = 4
_ROOM_ABOVE = 1.06
_STEPS = {
    "s": (1, 2, 5, 10, 15, 30, 60, 120, 180, 300, 600, 1800, 3600, 21600, 86400, 604800),
    "bytes": tuple(2**exponent for exponent in range(20, 50)),
}
_UNITS = (("s", 86400, "d"), ("s", 3600, "h"), ("s", 60, "min"), ("s", 1, "s"), ("s", 0, "ms"))

Series = tuple[str, list[datetime], list[float]]


class Answers:
    """What Prometheus answers to a dashboard's queries, for all that it has seen."""

    def __init__(self, address: str, minutes: float) -> None:
        self._address = address
        self._span_s = minutes * 60
        self._end = time.time()
        self.began_at, self.ended_at = (
            datetime.fromtimestamp(at, timezone.utc) for at in (self._end - self._span_s, self._end)
        )

    def of(self, target: dict[str, Any]) -> list[Series]:
        """Give the series of a panel's query, each by its legend."""
        query = re.sub(r'"\$\w+"', '".*"', target["expr"])
        query = query.replace("$__range", f"{round(self._span_s)}s")
        answer = requests.get(
            f"{self._address}/api/v1/query_range",
            {
                "query": query,
                "start": str(self._end - self._span_s),
                "end": str(self._end),
                "step": str(self._span_s / _POINTS),
            },
            timeout=60,
        )
        answer.raise_for_status()
        series = [self._series(one, target) for one in answer.json()["data"]["result"]]
        return [one for one in series if not all(map(math.isnan, one[2]))]

    def _series(self, found: dict[str, Any], target: dict[str, Any]) -> Series:
        labels, form = found["metric"], target["legendFormat"]
        legend = re.sub(r"\{\{(\w+)\}\}", lambda match: labels.get(match[1], ""), form)
        points = [(float(at), float(value)) for at, value in found["values"]]
        moments = [datetime.fromtimestamp(at, timezone.utc) for at, _ in points]
        return legend.strip(), moments, [value for _, value in points]


def in_words(value: float, unit: str, decimals: int | None = None) -> str:
    """Write a value as Grafana does."""
    if unit == "percentunit":
        return f"{value:.0%}"
    if unit == "bytes":
        return f"{value / 2**20:.0f} MiB"
    if unit == "s" and value:
        _, size, name = next(one for one in _UNITS if abs(value) >= one[1])
        return f"{value / (size or 0.001):.3g} {name}"
    if unit == "pps":
        return f"{value:.3g} p/s"
    if decimals is not None:
        return f"{value:,.{decimals}f}"
    return f"{value:,.0f}" if value >= _MANY or not value % 1 else f"{value:.3g}"


def draw_stat(axes: Axes, panel: dict[str, Any], series: Sequence[Series]) -> None:
    """Draw one number."""
    defaults = panel["fieldConfig"]["defaults"]
    value = next((values[-1] for _, _, values in series if values), None)
    steps = defaults["thresholds"]["steps"]
    colour = next(
        step["color"]
        for step in reversed(steps)
        if step["value"] is None or (value or 0) >= step["value"]
    )
    words = (
        "no data" if value is None else in_words(value, defaults["unit"], defaults.get("decimals"))
    )
    axes.text(0.5, 0.5, words, ha="center", va="center", fontsize=24, color=colour)
    axes.set_axis_off()


def draw_lines(axes: Axes, panel: dict[str, Any], series: Sequence[Series]) -> None:
    """Draw lines, or what is stacked."""
    defaults = panel["fieldConfig"]["defaults"]
    moments = sorted({at for _, when, _ in series for at in when})
    if defaults["custom"]["stacking"]["mode"] == "normal":
        by_moment = [dict(zip(when, values, strict=True)) for _, when, values in series]
        rows = [[one.get(at, 0.0) for at in moments] for one in by_moment]
        axes.stackplot(moments, rows, labels=[one[0] for one in series], alpha=0.7)
        highest = max((sum(column) for column in zip(*rows, strict=True)), default=0.0)
    else:
        for legend, when, values in series:
            # Over the axis: what is 0 is to be seen.
            axes.plot(when, values, label=legend or None, linewidth=1.2, clip_on=False, zorder=3)
        known = [value for _, _, values in series for value in values if not math.isnan(value)]
        highest = max(known, default=0.0)
    set_scale(axes, defaults, highest)


def set_scale(axes: Axes, defaults: dict[str, Any], highest: float) -> None:
    """Have an axis of values that holds the highest one, with few and round numbers."""
    unit = defaults["unit"]
    axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: in_words(v, unit)))
    axes.yaxis.set_major_locator(MaxNLocator(_MOST_TICKS, integer=unit == "short"))
    steps = _STEPS.get(unit, ())
    if steps and highest > steps[0]:
        step = next((one for one in steps if highest < one * (_MOST_TICKS + 1)), steps[-1])
        axes.yaxis.set_major_locator(MultipleLocator(step))
    top = defaults.get("max") or highest * _ROOM_ABOVE or 1
    axes.set_ylim(bottom=defaults.get("min"), top=top)


def draw_states(axes: Axes, panel: dict[str, Any], series: Sequence[Series]) -> None:
    """Draw what is in which state, each on a line of its own."""
    options = panel["fieldConfig"]["defaults"]["mappings"][0]["options"]
    colours = {float(state): option["color"] for state, option in options.items()}
    for row, (_, moments, values) in enumerate(series):
        shown = [colours[value] for value in values]
        axes.scatter(moments, [row] * len(moments), c=shown, marker="s", s=40)
    for row, (legend, _, _) in enumerate(series):
        axes.text(0.01, row + 0.2, legend, fontsize=7, transform=axes.get_yaxis_transform())
    axes.set_yticks([])
    axes.set_ylim(-0.7, max(1, len(series)) - 0.3)


def draw_heat(axes: Axes, _panel: dict[str, Any], series: Sequence[Series]) -> None:
    """Draw how many are in each bucket."""
    ordered = sorted(series, key=lambda one: float(one[0].replace("+Inf", "inf")))
    below = [0.0] * (_POINTS + 1)
    rows = []
    for _, _, values in ordered:
        rows.append([max(0.0, now - low) for now, low in zip(values, below, strict=False)])
        below = values
    if rows:
        axes.pcolormesh(ordered[0][1], range(len(rows)), rows, cmap="Oranges", shading="nearest")
        axes.set_yticks(range(len(rows)), [one[0] for one in ordered], fontsize=6)


_DRAWN = {
    "stat": draw_stat, "timeseries": draw_lines, "state-timeline": draw_states,
    "heatmap": draw_heat,
}  # fmt: skip


def legend_grid(panel: dict[str, Any], series: Sequence[Series]) -> tuple[int, int]:
    """Say in how many columns and rows the legend stands below a panel; in none if it has none."""
    named = [legend for legend, _, _ in series if legend]
    if panel["type"] != "timeseries" or not 0 < len(named) <= _MOST_IN_LEGEND:
        return 1, 0
    width_inch = panel["gridPos"]["w"] / _COLUMNS * _WIDTH_INCH
    longest_inch = (max(map(len, named)) + 8) * _LETTER_INCH
    columns = max(1, min(len(named), int(width_inch / longest_inch)))
    return columns, math.ceil(len(named) / columns)


def in_rows(handles: list[Any], legends: list[str], columns: int) -> tuple[list[Any], list[str]]:
    """Order what matplotlib fills in by columns so that it is read by rows."""
    order = [place for start in range(columns) for place in range(start, len(legends), columns)]
    return [handles[place] for place in order], [legends[place] for place in order]


def draw(dashboard: dict[str, Any], answers: Answers) -> Figure:
    """Draw a dashboard."""
    panels = [panel for panel in dashboard["panels"] if panel["type"] in _DRAWN]
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    figure = Figure(figsize=(_WIDTH_INCH, height * _ROW_INCH), layout="none")
    for row in (panel for panel in dashboard["panels"] if panel["type"] == "row"):
        place = 0.3 / _COLUMNS, 1 - (row["gridPos"]["y"] + 0.5) / height
        figure.text(*place, row["title"], va="center", fontsize=11, weight="bold")
    for panel in panels:
        at = panel["gridPos"]
        series = [one for target in panel["targets"] for one in answers.of(target)]
        columns, rows = legend_grid(panel, series)
        below = 1.2 + rows * _LEGEND_ROW_INCH / _ROW_INCH
        left, low = (at["x"] + 0.9) / _COLUMNS, 1 - (at["y"] + at["h"] - below) / height
        size = (at["w"] - 1.3) / _COLUMNS, (at["h"] - 1.1 - below) / height
        axes = figure.add_axes((left, low, *size))
        axes.set_title(panel["title"], fontsize=9, loc="left")
        axes.tick_params(labelsize=7)
        if not series:
            axes.text(0.5, 0.5, "no data", ha="center", va="center", fontsize=9, color="grey")
            axes.set_xticks([])
            axes.set_yticks([])
            continue
        _DRAWN[panel["type"]](axes, panel, series)
        if panel["type"] != "stat":
            locator = AutoDateLocator(maxticks=6)
            axes.set_xlim(answers.began_at, answers.ended_at)
            axes.xaxis.set_major_locator(locator)
            axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))
        if rows:
            handles, legends = axes.get_legend_handles_labels()
            drawn_rows = at["h"] - 1.1 - below
            axes.legend(
                *in_rows(handles, legends, columns),
                fontsize=6,
                loc="upper left",
                bbox_to_anchor=(-0.02, -0.65 / drawn_rows),
                borderpad=0,
                labelspacing=0.3,
                frameon=False,
                ncols=columns,
            )
    return figure


def main() -> None:
    """Draw all dashboards."""
    parser = argparse.ArgumentParser(description="Draw the dashboards in docs/images.")
    parser.add_argument("address", help="of a Prometheus that reads the daemon's page")
    parser.add_argument("--minutes", type=float, default=10, help="how far to look back")
    options = parser.parse_args()
    answers = Answers(options.address, options.minutes)
    mpl.rcParams.update(
        {
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.prop_cycle": mpl.cycler(color=_LINES),
        }
    )
    for path in sorted(_DASHBOARDS.glob("*.json")):
        figure = draw(json.loads(path.read_text(encoding="utf-8")), answers)
        drawn = BytesIO()
        figure.savefig(drawn, dpi=_DOTS_PER_INCH)
        # By cover, as a thin line's colour is to stay what its legend shows.
        picture = Image.open(drawn).convert("RGB").quantize(_COLOURS, Image.Quantize.MAXCOVERAGE)
        picture.save(_IMAGES / f"dashboard-{path.stem}.png", optimize=True)


if __name__ == "__main__":
    main()
