"""A real journald is written to: what it has can be looked for by runner, and is whole."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from mount_space import LET_GO

_JOURNALD = """
let_go /nowhere
mount -t tmpfs tmpfs /run
mkdir -p /run/log/journal
# Debian's and Ubuntu's place.
/lib/systemd/systemd-journald >/dev/null 2>&1 &
tries=0
until [ -S /run/systemd/journal/socket ]; do
    tries=$((tries + 1))
    [ $tries -lt 600 ] || exit 1
    sleep 0.05
done
"$1" -c "$2" && journalctl --sync && journalctl --all --output=json --no-pager RUNNER=fleet-a
code=$?
kill $!
wait
exit $code
"""

_PROGRAM = """
import os
from loguru import logger
from supervisor.observation import log

found = os.fstat(2)
os.environ["JOURNAL_STREAM"] = f"{found.st_dev}:{found.st_ino}"
log.configure()
with logger.contextualize(actor="root/core/runners/fleet-a", runner="fleet-a"):
    logger.warning("hello")
    try:
        int("wrong")
    except ValueError as error:
        logger.opt(exception=error).error("it failed")
    logger.info("x" * 1_000_000)
with logger.contextualize(actor="root/core/runners/fleet-b", runner="fleet-b"):
    logger.warning("of another")
"""


def written() -> list[dict[str, Any]]:
    done = subprocess.run(
        ["unshare", "--mount", "--propagation=private", "sh", "-c", f"{LET_GO}{_JOURNALD}", "sh",
         sys.executable, _PROGRAM],
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_journald_has_each_message_as_one_entry_with_its_runner() -> None:
    hello, failed, long = written()
    assert (hello["MESSAGE"], hello["PRIORITY"]) == ("fleet-a: hello", "4")
    assert hello["ACTOR"] == "root/core/runners/fleet-a"
    assert hello["SYSLOG_IDENTIFIER"] == "github-runner-supervisor"
    assert failed["MESSAGE"].startswith("fleet-a: it failed\nTraceback")
    assert failed["MESSAGE"].splitlines()[-1].startswith("ValueError: ")
    assert long["MESSAGE"] == "fleet-a: " + "x" * 1_000_000
