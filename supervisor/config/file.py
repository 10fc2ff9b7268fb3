"""The configuration file: read whole, checked whole, faults told one a line."""

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from supervisor.config.model import Config, kebab
from supervisor.config_basics import ConfigError
from supervisor.policy.package import has_credentials

OTHERS = 0o077
"""The part of a file's mode that is not its owner's."""


def mode_of(file: IO[Any]) -> int:
    """Tell who may read a file that is open."""
    return stat.S_IMODE(os.fstat(file.fileno()).st_mode)


def without_waiting(path: str, flags: int) -> int:
    """Open a file, as an `opener`, without waiting for a writer should it be a named pipe."""
    return os.open(path, flags | os.O_NONBLOCK)


class _KeyFault(yaml.MarkedYAMLError):
    """A key that can't be one: told in our own words."""


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML lets a later key silently win over an earlier one of the same name; we refuse it."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise _KeyFault(problem="a key must be a word", problem_mark=key_node.start_mark)
            if key in seen:
                raise _KeyFault(
                    problem=f"the key {key!r} stands twice", problem_mark=key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def load(path: Path) -> Config:
    """Load and check a configuration file.

    Raises:
        ConfigError: it can't be read or used; nothing of it is in force.
    """
    data, mode = _read(path)
    if not isinstance(data, Mapping):
        raise ConfigError(f"{path}: must hold keys and values, for example `path: my-organisation`")
    if mode & OTHERS and (key := _secret_in(data)):
        rest = f", or use {key}-file" if key.endswith("token") else ""
        raise ConfigError(
            f"{path}: {key}: the file is open to others (mode {mode:04o}); `chmod 600 {path}`{rest}"
        )
    config = parse(data, str(path))
    log = config.metric_log.path
    if log and os.path.realpath(log) == os.path.realpath(path):
        raise ConfigError(
            f"{path}: metric-log.path: {log} is this very file; for example "
            "`path: /var/log/github-runner-supervisor/metrics.log`"
        )
    return config


def read_document(path: Path, key: str) -> Any:
    """Read a document of YAML, or JSON, that the configuration names.

    Args:
        path: of the file.
        key: that names it.

    Raises:
        ConfigError: it can't be read.
    """
    try:
        return _read(path)[0]
    except ConfigError as error:
        raise ConfigError(f"{key}: {error}") from error


def _read(path: Path) -> tuple[Any, int]:
    """Give what a file of YAML holds, and its mode."""
    try:
        with open(path, encoding="utf-8", opener=without_waiting) as file:
            mode = mode_of(file)
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ConfigError(f"{path}: is not a regular file")
            return yaml.load(file, Loader=_UniqueKeyLoader), mode  # noqa: S506 - a SafeLoader
    except OSError as error:
        raise ConfigError(f"{path}: can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: {_describe_yaml(error)}") from error
    except (ValueError, RecursionError) as error:  # such as a date that no calendar has
        raise ConfigError(f"{path}: holds a value that YAML can't read") from error


def _secret_in(data: Mapping[str, Any]) -> str:
    """Name a key whose value is a secret, or holds one; empty if there is none."""
    if "token" in data:
        return "token"
    policy = data.get("policy")
    if isinstance(policy, Mapping):
        if "token" in policy:
            return "policy.token"
        sources = ("package", "package-index")
        if key := next((key for key in sources if has_credentials(str(policy.get(key)))), ""):
            return f"policy.{key}"
    addresses = ("http-proxy", "https-proxy", "otel-collector-endpoint")
    return next((key for key in addresses if "@" in str(data.get(key, ""))), "")


def parse(data: Mapping[str, Any], source: str) -> Config:
    """Check a configuration; `source` names it in errors.

    Raises:
        ConfigError: it can't be used.
    """
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        lines = [_describe(fault, source) for fault in error.errors(include_input=False)]
        raise ConfigError("\n".join(lines)) from None  # the cause may quote a secret


def _describe_yaml(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        mark = error.problem_mark
        problem = error.problem or "is not YAML"
        if not isinstance(error, _KeyFault):
            # YAML's own words may quote what stands there, such as a token.
            problem = re.sub(r"""'[^']{2,}'|"[^"]{2,}\"""", "…", problem)
        return f"line {mark.line + 1}, column {mark.column + 1}: {problem}"
    return "is not YAML"


def _describe(fault: Any, source: str) -> str:
    location = [
        str(part) for part in fault["loc"] if part not in {"function-after", "function-before"}
    ]
    key = "".join(c if c.isprintable() else "?" for c in ".".join(location))
    reason = fault["msg"].removeprefix("Value error, ").replace("Input should", "must")
    reason = reason.replace("be a valid tuple", "be a list")  # YAML has no tuples
    reason = reason[:1].lower() + reason[1:]
    if fault["type"] == "extra_forbidden":
        section = _section(location[:-1])
        known = ", ".join(sorted(kebab(name) for name in section.model_fields)) if section else ""
        return f"{source}: {key}: unknown key; known here: {known}"
    if fault["type"] == "missing":
        reason = "is missing"
    example = _example(location)
    if fault["type"] == "model_type":  # YAML has no classes
        reason, example = "must hold keys and values", _example_of_section(location)
    line = f"{source}: {key}: {reason}" if key else f"{source}: {reason}"
    return f"{line}; for example `{example}`" if example else line


def _example_of_section(location: list[str]) -> str:
    section = _section(location)
    if not location or section is None:
        return ""
    first = kebab(next(iter(section.model_fields)))
    return f"{location[-1]}: {{{_example([*location, first])}}}"


def _section(location: list[str]) -> type[BaseModel] | None:
    section: type[BaseModel] = Config
    for key in location:
        if key.isdigit():
            continue  # the position in a list
        field = section.model_fields.get(key.replace("-", "_"))
        annotation = field.annotation if field else None
        sections = [
            one
            for one in (annotation, *get_args(annotation))
            if isinstance(one, type) and issubclass(one, BaseModel)
        ]
        if not sections:
            return None
        section = sections[0]
    return section


def _example(location: list[str]) -> str:
    for depth in range(len(location), 0, -1):
        section = _section(location[: depth - 1])
        field = section.model_fields.get(location[depth - 1].replace("-", "_")) if section else None
        if field and field.examples:
            return f"{location[depth - 1]}: {field.examples[0]}"
    return ""
