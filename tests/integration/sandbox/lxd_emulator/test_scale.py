"""Many instances at once; how long it takes is told, not judged (`pytest -s` shows it)."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import aiohttp

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.lxd_emulator import LxdEmulator

COUNT = 400
AT_ONCE = 32


async def _ask(
    web: aiohttp.ClientSession, method: str, path: str, body: Any = None
) -> dict[str, Any]:
    """Make a call, and wait for its operation."""
    async with web.request(method, path, json=body) as answer:
        document: dict[str, Any] = await answer.json()
    if document["type"] == "async":
        async with web.get(f"{document['operation']}/wait") as answer:
            document = await answer.json()
        assert document["metadata"]["err"] == ""
    return document


def test_hundreds_of_instances_come_and_go(lxd: LxdEmulator) -> None:
    took: dict[str, float] = {}

    async def each(what: str, work: Callable[[str], Any]) -> None:
        began = time.monotonic()
        await asyncio.gather(*(work(f"n{number}") for number in range(COUNT)))
        took[what] = time.monotonic() - began

    async def run() -> int:
        connector = aiohttp.UnixConnector(str(lxd.socket), limit=AT_ONCE)
        async with aiohttp.ClientSession("http://lxd", connector=connector) as web:
            source = {"type": "image", "alias": "tiny"}

            def create(name: str) -> Any:
                body = {"name": name, "ephemeral": True, "source": source}
                return _ask(web, "POST", "/1.0/instances", body)

            def turn(action: str) -> Callable[[str], Any]:
                body = {"action": action, "force": True}
                return lambda name: _ask(web, "PUT", f"/1.0/instances/{name}/state", body)

            await each("create", create)
            await each("start", turn("start"))
            began = time.monotonic()
            found = len((await _ask(web, "GET", "/1.0/instances?recursion=1"))["metadata"])
            took["list"] = time.monotonic() - began
            await each("stop and delete", turn("stop"))
        return found

    assert asyncio.run(run()) == COUNT
    assert lxd.instances() == ()
    print(f"\n{COUNT} instances:", ", ".join(f"{k} {v:.2f} s" for k, v in took.items()))  # noqa: T201
