"""How the images that runners start from look to people."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from supervisor.cli.output import draw_lines
from supervisor.cli.tables import fitting, stage_text, table_of
from supervisor.cli.times import age, minute
from supervisor.text.printable import one_line


def draw_images(console: Console, image: Mapping[str, Any], now: datetime | None = None) -> None:
    """Say what runners start from, and list the images that were built.

    Args:
        console: where.
        image: the answer of `/v1/image`.
        now: against which ages are told.
    """
    now = now or datetime.now(timezone.utc)
    draw_lines(console, image_lines(image))
    if image["images"]:
        console.print(_images_table(image["images"], console.width, now))


def image_lines(image: Mapping[str, Any]) -> Iterator[str]:
    """Say in words what runners start from.

    Args:
        image: the answer of `/v1/image`.
    """
    yield f"{image['state']}: {image['reason']}"
    if image.get("next_look"):
        yield f"looked at next at {minute(image['next_look'])}"
    for warning in image["warnings"]:
        yield f"warning: {warning}"


def _images_table(images: list[Mapping[str, Any]], width: int, now: datetime) -> Table:
    """List images, the newest first."""
    table = table_of("IMAGE", "BUILT", "SIZE", "STATE", "APPLICATION", "ALIASES")
    for one in images:
        state = "used" if one["used"] else "kept" if one["verified"] else "unverified"
        table.add_row(
            Text(one["fingerprint"][:12], "bold"),
            f"{age(one['built_at'], now)} ago",
            f"{one['size'] / 1024**2:,.0f} MiB",
            stage_text(state),
            Text(one_line(one["application_version"] or one["application"][:12])),
            Text(one_line(", ".join(one["aliases"])), "dim"),
        )
    return fitting(table, width, shorten=("APPLICATION",))
