"""The table of the configuration's keys: all of them, no others, each with its true default."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from supervisor.config import Config, parse
from supervisor.config.model import kebab

DOCUMENT = Path(__file__).parents[2] / "docs" / "configuration.md"
MINIMUM = {"name": "fleet", "path": "acme", "token": "secret"}


def keys_of(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Give a model's keys as the table has them, those of sections with their section."""
    for name, field in model.model_fields.items():
        kinds = [field.annotation, *get_args(field.annotation)]
        sections = [k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)]
        key = prefix + kebab(name)
        if sections:
            yield from keys_of(sections[0], f"{key}.")
        else:
            yield key


def rows() -> list[tuple[list[str], str]]:
    """Return the table's rows: the keys that each is about, and what it says of their defaults."""
    lines = DOCUMENT.read_text(encoding="utf-8").splitlines()
    cells = [line.split(" | ") for line in lines if line.startswith("| `")]
    # The table of signals, which comes later, has two columns.
    return [(list(_full(row[0])), row[1]) for row in cells if len(row) >= 3]


def _full(cell: str) -> Iterator[str]:
    """Read the keys of a cell: one that begins with a dot is of the section before it."""
    section = ""
    for key in re.findall(r"`([^`]+)`", cell):
        section = section if key.startswith(".") else key.partition(".")[0]
        yield section + key if key.startswith(".") else key


def defaults() -> list[tuple[str, str]]:
    """Return the keys whose default is given as a value, with that value."""
    found = []
    for keys, told in rows():
        values = re.findall(r"`([^`]+)`|\b(\d+)\b", told.removesuffix(" each"))
        texts = [quoted or number for quoted, number in values]
        if told.endswith(" each"):
            texts *= len(keys)
        if len(texts) == len(keys):
            found += zip(keys, texts, strict=True)
    return found


def test_every_key_stands_in_the_table_and_no_other_does() -> None:
    written = [key for keys, _ in rows() for key in keys]
    assert sorted(written) == sorted(keys_of(Config))


@pytest.mark.parametrize(("key", "text"), defaults())
def test_a_default_in_the_table_is_the_one_that_holds(key: str, text: str) -> None:
    section, _, name = key.rpartition(".")
    given: dict[str, Any] = {section: {name: _value(text)}} if section else {key: _value(text)}
    assert parse({**MINIMUM, **given}, "test") == parse(MINIMUM, "test")


def test_most_defaults_are_values() -> None:
    told = dict(defaults())
    assert told["limits.busy"] == "5d"
    assert told["vm-disk"] == "10GiB"
    assert len(told) >= 30


def _value(text: str) -> object:
    """Read a value as YAML does."""
    if text in {"true", "false"}:
        return text == "true"
    return int(text) if text.isdigit() else text
