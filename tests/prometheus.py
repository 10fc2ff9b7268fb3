"""The programs of Prometheus, got by scripts/setup.sh, and what they say of a page or of rules."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import yaml
from ports import free_port

_PROGRAMS = Path(__file__).parents[1] / ".cache" / "prometheus" / "bin"
_STOP_LIMIT_S = 30


def promtool(*arguments: str | Path, told: str = "") -> str:
    """Run promtool; give what it complains of, or nothing."""
    done = subprocess.run(
        (_PROGRAMS / "promtool", *arguments),
        input=told,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    said = f"{done.stdout}\n{done.stderr}".strip()
    return said if done.returncode else ""


@dataclass(frozen=True)
class Prometheus:
    """A server that scrapes."""

    address: str

    def ask(self, path: str, **parameters: str) -> Any:
        """Ask its API."""
        answer = requests.get(f"{self.address}/api/v1/{path}", parameters, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def query(self, query: str) -> dict[str, float]:
        """Give a vector's values by those of their labels."""
        found = self.ask("query", query=query)["result"]
        return {" ".join(one["metric"].values()): float(one["value"][1]) for one in found}

    def is_scraping(self) -> bool:
        """Tell whether it has read a page."""
        try:
            is_ready = requests.get(f"{self.address}/-/ready", timeout=10).status_code == 200
        except requests.ConnectionError:
            return False
        return is_ready and set(self.query("up").values()) == {1}


@contextmanager
def prometheus(
    directory: Path, port: int, labels: dict[str, str], rules: dict[str, Any]
) -> Iterator[Prometheus]:
    """Run a server that scrapes a page of this host each second.

    Args:
        directory: for what it keeps.
        port: of the page.
        labels: for what is scraped, as a collector gives them.
        rules: its alerts.
    """
    own = free_port()
    target = {"targets": [f"127.0.0.1:{port}"], "labels": labels}
    document = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [{"job_name": "daemon", "static_configs": [target]}],
    }
    (directory / "rules.yaml").write_text(yaml.safe_dump(rules), encoding="utf-8")
    (directory / "prometheus.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    with (directory / "prometheus.log").open("w", encoding="utf-8") as log:
        server = subprocess.Popen(
            (
                _PROGRAMS / "prometheus",
                f"--config.file={directory / 'prometheus.yaml'}",
                f"--storage.tsdb.path={directory / 'data'}",
                f"--web.listen-address=127.0.0.1:{own}",
            ),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield Prometheus(f"http://127.0.0.1:{own}")
        finally:
            server.terminate()
            server.wait(_STOP_LIMIT_S)
