"""Clients of the live stream, some of which never read."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp

_RETRY_SECONDS = 0.5


class Watcher:
    """An `EventSource` of one site, which reconnects and keeps the last message."""

    def __init__(self, url: str, token: str, site_id: str) -> None:
        self.site_id = site_id
        self.last: dict[str, Any] = {}
        self._url = f"{url}/api/sites/{site_id}/live/stream"
        self._headers = {"Authorization": f"Bearer {token}"}

    async def watch(self, http: aiohttp.ClientSession) -> None:
        """Read the stream until cancelled."""
        while True:
            with suppress(aiohttp.ClientError, ConnectionError):
                async with http.get(self._url, headers=self._headers) as response:
                    async for line in response.content:
                        if line.startswith(b"data: "):
                            self.on_message(json.loads(line[6:]))
            await asyncio.sleep(_RETRY_SECONDS)

    def on_message(self, message: dict[str, Any]) -> None:
        """Process a message."""
        self.last = message


class StalledReader:
    """A client that requests a site's stream and never reads it."""

    def __init__(self, port: int, token: str, site_id: str) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        self._socket.connect(("127.0.0.1", port))
        self._socket.sendall(
            f"GET /api/sites/{site_id}/live/stream HTTP/1.1\r\nHost: localhost\r\n"
            f"Authorization: Bearer {token}\r\n\r\n".encode()
        )

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


@asynccontextmanager
async def watching(
    watchers: Sequence[Watcher], stalled: Sequence[StalledReader] = ()
) -> AsyncIterator[None]:
    """Keep all clients connected during the block."""
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=15)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:
        tasks = [asyncio.ensure_future(watcher.watch(http)) for watcher in watchers]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for reader in stalled:
                reader.close()
