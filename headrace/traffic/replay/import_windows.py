"""The import windows of a replay: opened when an event needs one, extended, and closed."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from uuid import uuid4

import aiohttp
import msgspec
from yarl import URL

from headrace.errors import UserError
from headrace.traffic.replay.sender import NotAcceptedError, error_of

#: The windows of a replay that was killed expire after this time.
WINDOW_SECONDS = 120
_EXTEND_SECONDS = 30.0
_REQUEST_TIMEOUT_SECONDS = 15.0


class _Event(msgspec.Struct):
    site_id: str


_event = msgspec.json.Decoder(_Event).decode


class ImportWindows:
    """The windows of all sites, at a server of the role `query`."""

    def __init__(self, session: aiohttp.ClientSession, base: str, token: str) -> None:
        self._session = session
        self._base = base.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"}
        self._window_id = str(uuid4())
        self._sites: set[str] = set()
        #: Requests that open windows; a cancelled replay does not cancel them.
        self._in_flight: set[asyncio.Future[None]] = set()

    async def open_for(self, events: Sequence[bytes]) -> bool:
        """Open or extend a window for each site of these events; return True if any was opened.

        Raises `UserError` if the token is not authorized, `NotAcceptedError` if the server fails.
        """
        sites = {_event(event).site_id for event in events}
        is_new = not sites <= self._sites
        for site_id in sorted(sites):
            # Added before the request, so that it is closed even if the response is lost.
            self._sites.add(site_id)
            request = asyncio.ensure_future(self._request("PUT", site_id))
            self._in_flight.add(request)
            request.add_done_callback(self._in_flight.discard)
            await asyncio.shield(request)
        return is_new

    async def keep_open(self, done: asyncio.Event) -> None:
        """Extend the windows until `done` is set."""
        while not done.is_set():
            try:
                async with asyncio.timeout(_EXTEND_SECONDS):
                    await done.wait()
            except TimeoutError:
                # If a window expires nevertheless, events are rejected, and it is opened again.
                for site_id in sorted(self._sites):
                    if not done.is_set():
                        await self._try("PUT", site_id)

    async def close(self) -> None:
        """Close the windows; those that cannot be closed will expire.

        Requests in flight finish before: the server might process them after those that close.
        """
        if self._in_flight:
            await asyncio.wait(self._in_flight)
        for site_id in sorted(self._sites):
            await self._try("DELETE", site_id)

    async def _try(self, method: str, site_id: str) -> None:
        with suppress(NotAcceptedError, UserError):
            await self._request(method, site_id)

    async def _request(self, method: str, site_id: str) -> None:
        # Not normalised, because a site may be called "..".
        address = f"{self._base}/api/sites/{site_id}/import-windows/{self._window_id}"
        try:
            async with self._session.request(
                method,
                URL(address, encoded=True),
                json={"seconds": WINDOW_SECONDS} if method == "PUT" else None,
                headers=self._headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=_REQUEST_TIMEOUT_SECONDS),
            ) as response:
                _check(response.status, await response.read(), site_id, self._base)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise NotAcceptedError(
                f"{self._base} did not open an import window: {error}"
            ) from error


def _check(status: int, body: bytes, site_id: str, base: str) -> None:
    if status in (HTTPStatus.OK, HTTPStatus.NO_CONTENT):
        return
    sentence = (
        f"No import window was opened for {site_id}: {base} returned {status}. {error_of(body)}"
    )
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise NotAcceptedError(sentence)
    if status == HTTPStatus.NOT_FOUND:
        sentence += ". If `headrace query` has another address, specify it with --query"
    raise UserError(sentence.rstrip())


@asynccontextmanager
async def import_windows(
    session: aiohttp.ClientSession, base: str, token: str | None
) -> AsyncIterator[ImportWindows | None]:
    """Yield windows that stay open until the block ends; None without a token."""
    if token is None:
        yield None
        return
    windows = ImportWindows(session, base, token)
    done = asyncio.Event()
    keeping = asyncio.create_task(windows.keep_open(done))
    try:
        yield windows
    finally:
        # Not cancelled: the server might process a request in flight after the one that closes.
        done.set()
        await keeping
        await windows.close()
