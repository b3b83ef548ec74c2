"""A load for a server over HTTP, in a process of its own: plans in, lines of JSON; out what came of each.

A plan has ``port``, ``requests`` (each a body for ``path``, or a fault), and either ``clients`` that ask one
after the other, each as soon as it has its answer, or a ``rate`` at which requests leave whatever becomes of
those before. Of each request comes back its place in the plan, its status (0 where there was none), its
milliseconds and the answer's first class with its score where it has one, or why there is no answer.

  python benchmarks/serving_load.py < plans
"""

import asyncio
import json
import resource
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

#: Seconds after which a request is lost.
_LOST = 120.0

#: What goes wrong in a request, and what it is told; of who leaves nothing is.
FAULTS: dict[str, tuple[bytes, int]] = {
    "no json": (b'{"inputs": ', 400),
    "no utf-8": (b'{"inputs": "\xff"}', 400),
    "too deep": (b"[" * 5000, 400),
    "nothing": (b'{"inputs": []}', 400),
    "no inputs": (b"{}", 422),
    "too many": (json.dumps({"inputs": ["a"] * 300}).encode(), 422),
    "too large": (b'{"inputs": "' + b"a" * 2_100_000 + b'"}', 413),
    "leaves": (b'{"inputs": "who is not there any more"}', 0),
}

Found = tuple[int, int, float, str, float]


class Connection:
    """One to the server, opened when it is first needed, and again when the server has closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, path: str, body: bytes) -> tuple[int, bytes]:
        """The status and the body of an answer; 0 and the reason where there is none."""
        head = f"POST {path} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: "
        try:
            if self._writer is None or self._writer.is_closing():
                self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
            assert self._reader is not None
            self._writer.write(head.encode() + str(len(body)).encode() + b"\r\n\r\n" + body)
            async with asyncio.timeout(_LOST):
                status, length, closes = await self._head(self._reader)
                answer = await self._reader.readexactly(length)
        except (OSError, EOFError, TimeoutError, ValueError) as error:
            self.close()
            return 0, f"{type(error).__name__} {error}".encode()
        if closes:
            self.close()
        return status, answer

    async def leave(self, path: str, body: bytes) -> None:
        """Ask, and be gone."""
        _, writer = await asyncio.open_connection("127.0.0.1", self._port)
        head = f"POST {path} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: "
        writer.write(head.encode() + str(len(body)).encode() + b"\r\n\r\n" + body)
        await writer.drain()
        await asyncio.sleep(0.001)
        writer.close()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None

    async def _head(self, reader: asyncio.StreamReader) -> tuple[int, int, bool]:
        lines = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
        length, closes = 0, False
        for line in lines[1:]:
            name, _, value = line.partition(b":")
            if name == b"content-length":
                length = int(value)
            elif name == b"connection":
                closes = value.strip() == b"close"
        return int(lines[0].split()[1]), length, closes


async def ask(connection: Connection, path: str, place: int, request: str | Mapping[str, str]) -> Found:
    """One request of a plan."""
    begun = time.perf_counter()
    label, score = "", 0.0
    if isinstance(request, str):
        status, answer = await connection.ask(path, request.encode())
        if status == 200:
            found = json.loads(answer)
            found = found.get("data", found) if isinstance(found, dict) else found
            while isinstance(found, list):
                found = found[0]
            if isinstance(found, dict):
                label, score = found.get("label", ""), found.get("score", 0.0)
        elif not status:
            label = answer.decode()
    else:
        fault = request["fault"]
        body, _ = FAULTS[fault]
        if fault == "leaves":
            await connection.leave(path, body)
            status = 0
        else:
            status, _ = await connection.ask(path, body)
    return place, status, 1000 * (time.perf_counter() - begun), label, score


async def in_a_ring(plan: Mapping[str, Any]) -> list[Found]:
    """Clients that each wait for their answer."""
    waiting: Iterator[tuple[int, Any]] = iter(enumerate(plan["requests"]))
    found: list[Found] = []

    async def client() -> None:
        connection = Connection(plan["port"])
        for place, request in waiting:
            found.append(await ask(connection, plan["path"], place, request))
        connection.close()

    await asyncio.gather(*(client() for _ in range(plan["clients"])))
    return found


async def at_a_rate(plan: Mapping[str, Any]) -> list[Found]:
    """Requests that leave when it is their time."""
    free: list[Connection] = []
    begun = time.perf_counter()

    async def one(place: int, request: Any) -> Found:
        connection = free.pop() if free else Connection(plan["port"])
        try:
            return await ask(connection, plan["path"], place, request)
        finally:
            free.append(connection)

    asked = []
    for place, request in enumerate(plan["requests"]):
        wait = begun + place / plan["rate"] - time.perf_counter()
        await asyncio.sleep(max(0.0, wait))
        asked.append(asyncio.create_task(one(place, request)))
    found = await asyncio.gather(*asked)
    for connection in free:
        connection.close()
    return list(found)


def main() -> None:
    # A connection is a file, and whoever is held up holds one.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    for line in sys.stdin:
        plan = json.loads(line)
        begun = time.perf_counter()
        found = asyncio.run(at_a_rate(plan) if "rate" in plan else in_a_ring(plan))
        told = {"seconds": time.perf_counter() - begun, "found": found}
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
