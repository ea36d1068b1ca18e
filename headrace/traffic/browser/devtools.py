"""A client of the Chrome DevTools Protocol, over one WebSocket for all pages."""

import asyncio
import itertools
from typing import Any

import aiohttp


class DevToolsError(Exception):
    """The browser rejected a command."""


class BrowserGoneError(Exception):
    """The browser has closed the connection."""


class DevTools:
    """Sends commands and returns their results; `run` must be running."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self._pending: dict[int, asyncio.Future[dict[str, Any]]] = {}

    async def run(self) -> None:
        """Receive results until the browser closes the connection; raises `BrowserGoneError`."""
        async for message in self._socket:
            content = message.json()
            if (future := self._pending.pop(content.get("id"), None)) and not future.done():
                future.set_result(content)
        raise BrowserGoneError

    async def call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Return the result of a command to the browser, or to the page of a session."""
        command: dict[str, Any] = {"id": next(self._ids), "method": method, "params": params}
        if session is not None:
            command["sessionId"] = session
        future = asyncio.get_running_loop().create_future()
        self._pending[command["id"]] = future
        try:
            await self._socket.send_json(command)
        except ConnectionError:
            raise BrowserGoneError from None
        content: dict[str, Any] = await future
        if error := content.get("error"):
            raise DevToolsError(error["message"])
        result: dict[str, Any] = content["result"]
        return result
