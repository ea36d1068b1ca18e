"""Sends HTTP requests over keep-alive connections; each waits for a response before the next."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

#: Until a request without a response is given up.
_RESPONSE_SECONDS = 20
_CONNECT_SECONDS = 60

#: When each request was accepted, by the event loop's clock; None if it was not.
Accepted = Sequence[float | None]


def post(path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """Return a request with a JSON body as bytes."""
    fields = {"Host": "localhost", "Content-Type": "application/json", **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"POST {path} HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Load(NamedTuple):
    """Requests to a port; `requests_per_second` is None for as many as possible."""

    port: int
    requests: Sequence[bytes]
    connections: int
    requests_per_second: float | None = None

    async def send(self, accepted: list[float | None] | None = None) -> Accepted:
        """Send each request once. Connections that break are opened again.

        `accepted` is filled while requests are sent.
        """
        times: list[float | None] = [] if accepted is None else accepted
        times.extend([None] * len(self.requests))
        numbers = iter(range(len(self.requests)))
        started_at = asyncio.get_running_loop().time()
        workers = (self._work(numbers, times, started_at) for _ in range(self.connections))
        await asyncio.gather(*workers)
        return times

    async def _work(
        self, numbers: Iterator[int], accepted: list[float | None], started_at: float
    ) -> None:
        clock = asyncio.get_running_loop().time
        connection = await _connect(self.port)
        for number in numbers:
            if self.requests_per_second:
                due = started_at + number / self.requests_per_second
                await asyncio.sleep(max(0.0, due - clock()))
            if connection.is_closed:
                connection = await _connect(self.port)
            if await connection.exchange(self.requests[number]):
                accepted[number] = clock()
        connection.close()


class _Connection(asyncio.Protocol):
    """Parses only the status and the length of responses."""

    def __init__(self) -> None:
        self.is_closed = False
        self._read = b""
        self._response: asyncio.Future[bool] | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, end, body = self._read.partition(b"\r\n\r\n")
        if not end:
            return
        lines = head.lower().split(b"\r\n")
        if len(body) >= _length(lines[1:]):
            self._read = b""
            self.is_closed = self.is_closed or b"connection: close" in lines
            self._respond(lines[0].split()[1].startswith(b"2"))

    def connection_lost(self, _: Exception | None) -> None:
        self.is_closed = True
        self._respond(False)

    async def exchange(self, request: bytes) -> bool:
        """Send a request; return True if its response has a status of success."""
        loop = asyncio.get_running_loop()
        self._response = loop.create_future()
        self._transport.write(request)
        give_up = loop.call_later(_RESPONSE_SECONDS, self._transport.abort)
        try:
            return await self._response
        finally:
            give_up.cancel()

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def _respond(self, is_accepted: bool) -> None:
        if self._response is not None and not self._response.done():
            self._response.set_result(is_accepted)


def _length(fields: Sequence[bytes]) -> int:
    """Return the length of a body; 0 if the response does not have it."""
    return next((int(field[15:]) for field in fields if field.startswith(b"content-length:")), 0)


async def _connect(port: int) -> _Connection:
    """Connect; try again while nothing listens."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(_CONNECT_SECONDS):
        while True:
            with suppress(OSError):
                _, connection = await loop.create_connection(_Connection, "127.0.0.1", port)
                return connection
            await asyncio.sleep(0.02)
