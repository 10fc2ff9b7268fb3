"""Which keys there are: those that are missing, unknown, or no section."""

from typing import Any

import pytest
import yaml

from supervisor.config import Config, ConfigError, parse
from tests.unit.config.examples import MINIMUM, SECRET, refusal


def test_three_keys_are_enough() -> None:
    config = parse(MINIMUM, "config.yaml")
    assert config.virtual_machines == 1
    assert config.token is not None
    assert config.lxd.instance_type == "virtual-machine"


def test_every_example_is_a_right_value() -> None:
    def check(model: Any, data: dict[str, Any], where: tuple[str, ...]) -> None:
        for name, field in model.model_fields.items():
            key = name.replace("_", "-")
            if hasattr(field.annotation, "model_fields"):
                check(field.annotation, data, (*where, key))
                continue
            assert field.examples, f"{key} has no example"
            changed = (
                {**data, "token": None} if key in {"token-file", "app"} and not where else data
            )
            if key == "use-aproxy":
                changed = {**data, "http-proxy": "http://proxy.example.com:3128"}
            nested: dict[str, Any] = {key: yaml.safe_load(str(field.examples[0]))}
            if where == ("policy",) and key in {"url", "token", "token-file"}:
                rest = {"mode": "external", "url": "http://10.5.0.8"}
                rest |= {"token": "s"} if key == "url" else {}
                nested = {**rest, **nested}
            if where == ("policy",) and key.startswith("package"):
                nested = {"mode": "package", "package": "one", **nested}
            for section in reversed(where):
                nested = {section: nested}
            parse({**changed, **nested}, "example")

    check(Config, MINIMUM, ())


def test_a_missing_key_is_named_with_an_example() -> None:
    with pytest.raises(ConfigError) as caught:
        parse({"token": SECRET}, "config.yaml")
    assert str(caught.value).splitlines() == [
        "config.yaml: name: is missing; for example `name: runner-host-1`",
        "config.yaml: path: is missing; for example `path: my-organisation`",
    ]


def test_an_unknown_key_is_refused_with_the_known_ones() -> None:
    line = refusal(virtual_machine=3)
    assert line.startswith("config.yaml: virtual-machine: unknown key; known here: ")
    assert "virtual-machines" in line


def test_an_unknown_key_of_a_section_is_refused_with_those_of_the_section() -> None:
    line = refusal(control={"sokcet": "/run/x"})
    assert line == "config.yaml: control.sokcet: unknown key; known here: debug, socket"


def test_a_section_that_is_no_section_is_refused_with_what_one_looks_like() -> None:
    assert refusal(limits="yes") == (
        "config.yaml: limits: must hold keys and values; for example `limits: {requested: 10m}`"
    )
    assert refusal(policy=SECRET) == (
        "config.yaml: policy: must hold keys and values; for example `policy: {mode: builtin}`"
    )
