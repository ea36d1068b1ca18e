"""The import windows of one replay: opened when an event needs one, extended, and closed."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from uuid import uuid4

import aiohttp
import msgspec
from yarl import URL

from infra.errors import UserError
from infra.replay.sender import NotTakenError, error_of

#: A window that nobody closes, since the replay was killed, ends after so long.
WINDOW_SECONDS = 120
_EXTEND_SECONDS = 30.0
_REQUEST_SECONDS = 15.0


class _Event(msgspec.Struct):
    site_id: str


_event = msgspec.json.Decoder(_Event).decode


class ImportWindows:
    """Windows of any number of sites, at the server that has the paths of `headrace query`."""

    def __init__(self, session: aiohttp.ClientSession, base: str, token: str) -> None:
        self._session = session
        self._base = base.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"}
        self._window_id = str(uuid4())
        self._sites: set[str] = set()

    async def open_for(self, events: Sequence[bytes]) -> bool:
        """Open or extend a window for each site of these events; return False without a new one.

        `UserError` when the token may not, `NotTakenError` when the server cannot now.
        """
        sites = {_event(event).site_id for event in events}
        is_new = not sites <= self._sites
        for site_id in sorted(sites):
            # Before the request: also one whose answer is lost is closed at the end.
            self._sites.add(site_id)
            await self._request("PUT", site_id)
        return is_new

    async def keep_open(self) -> None:
        """Extend the windows until cancelled."""
        while True:
            await asyncio.sleep(_EXTEND_SECONDS)
            # If one ends nevertheless, its events are rejected, and it is opened again.
            await self._request_all("PUT")

    async def close(self) -> None:
        """Close the windows; one that cannot be closed ends by itself."""
        await self._request_all("DELETE")

    async def _request_all(self, method: str) -> None:
        for site_id in sorted(self._sites):
            with suppress(NotTakenError, UserError):
                await self._request(method, site_id)

    async def _request(self, method: str, site_id: str) -> None:
        # As it is written: a site may be called "..".
        address = f"{self._base}/api/sites/{site_id}/import-windows/{self._window_id}"
        try:
            async with self._session.request(
                method,
                URL(address, encoded=True),
                json={"seconds": WINDOW_SECONDS} if method == "PUT" else None,
                headers=self._headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=_REQUEST_SECONDS),
            ) as response:
                _check(response.status, await response.read(), site_id, self._base)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise NotTakenError(f"{self._base} does not open an import window: {error}") from error


def _check(status: int, body: bytes, site_id: str, base: str) -> None:
    if status in (HTTPStatus.OK, HTTPStatus.NO_CONTENT):
        return
    sentence = (
        f"No import window was opened for {site_id}: {base} answered {status}. {error_of(body)}"
    )
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise NotTakenError(sentence)
    if status == HTTPStatus.NOT_FOUND:
        sentence += ". If `headrace query` has another address, name it with --query"
    raise UserError(sentence.rstrip())


@asynccontextmanager
async def import_windows(
    session: aiohttp.ClientSession, base: str, token: str | None
) -> AsyncIterator[ImportWindows | None]:
    """Yield the windows, kept open until the end, and closed then; None without a token."""
    if token is None:
        yield None
        return
    windows = ImportWindows(session, base, token)
    keeping = asyncio.create_task(windows.keep_open())
    try:
        yield windows
    finally:
        keeping.cancel()
        await windows.close()
