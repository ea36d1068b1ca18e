"""Sends batches over HTTP, one at a time, until the server has said of each event what it is."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

import aiohttp
import msgspec
import stamina

from infra.errors import UserError
from infra.replay.endpoint import endpoint
from schemas.counted import counted
from schemas.reject_reasons import RejectReason

#: How long a batch is sent again and again before the replay gives up.
PATIENCE_SECONDS = 180.0
#: The same, while the server has never answered anything: it may not be there at all.
FIRST_PATIENCE_SECONDS = 15.0

_REQUEST_SECONDS = 60.0
_LONGEST_WAIT_SECONDS = 10.0
_LONGEST_RETRY_AFTER_SECONDS = 60.0
_HEADERS = {"Content-Type": "application/x-ndjson"}
_CLAMPED = RejectReason.WOULD_BE_CLAMPED.code
_NEVER_CLAMP = {"Headrace-Clamp": "never"}
_SHOWN_CHARACTERS = 200

#: What may pass: sent again later, the same batch can be taken.
_PASSING = frozenset({408, 429, 500, 502, 503, 504})


class Result(msgspec.Struct, frozen=True):
    """What the server says of one event."""

    status: Literal["accepted", "rejected", "failed"]
    code: str = ""
    error: str = ""
    clamped: str = ""


#: Is given an event's index and result.
Settle = Callable[[int, Result], None]
#: Sends events until each is settled.
Send = Callable[[Sequence[bytes], Settle], Awaitable[None]]
#: Opens the import windows that events need; returns False when all of them were open.
OpenWindows = Callable[[Sequence[bytes]], Awaitable[bool]]


class _Results(msgspec.Struct):
    results: list[Result]


class _Refusal(msgspec.Struct):
    error: str


class NotTakenError(Exception):
    """Events were not taken, and may be when they are sent again; the message says why."""

    def __init__(self, why: str, retry_after: float | None = None) -> None:
        super().__init__(why)
        self.retry_after = retry_after


class WindowOpenedError(NotTakenError):
    """Events need an import window that was opened just now."""


_results = msgspec.json.Decoder(_Results).decode
_refusal = msgspec.json.Decoder(_Refusal).decode


class Sender:
    """Sends to one server; `waiting` is called with the reason each time events are sent again.

    With `open_windows`, no timestamp is clamped: it is called with the events that need a window.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        base: str,
        waiting: Callable[[str], None],
        open_windows: OpenWindows | None = None,
    ) -> None:
        self._session = session
        self._url, self._shown = endpoint(base)
        self._waiting = waiting
        self._open_windows = open_windows
        self._headers = _HEADERS if open_windows is None else _HEADERS | _NEVER_CLAMP
        self._was_answered = False

    async def send(self, events: Sequence[bytes], settle: Settle) -> None:
        """Send the events until each is accepted or rejected.

        `settle` is called once for each event, as soon as its result is known.
        `NotTakenError` when some were not taken for minutes, `UserError` when nothing answers or
        the answer is not that of headrace.
        """
        try:
            await self._send(events, settle)
        except NotTakenError as error:
            if self._was_answered:
                raise
            raise UserError(
                f"No headrace answers at {self._shown} ({error}). Start one with `headrace up`, or "
                "name its address with --to"
            ) from error

    async def _send(self, events: Sequence[bytes], settle: Settle) -> None:
        pending = list(range(len(events)))
        async for attempt in stamina.retry_context(
            on=self._wait_of,
            attempts=None,
            timeout=PATIENCE_SECONDS if self._was_answered else FIRST_PATIENCE_SECONDS,
            wait_initial=0.2,
            wait_max=_LONGEST_WAIT_SECONDS,
        ):
            with attempt:
                (results, retry_after) = await self._post([events[index] for index in pending])
                (failed, clamped) = ([], [])
                for index, result in zip(pending, results, strict=True):
                    is_clamped = self._open_windows is not None and result.code == _CLAMPED
                    if is_clamped:
                        clamped.append(events[index])
                    if is_clamped or result.status == "failed":
                        failed.append(index)
                        why = result.error
                    else:
                        settle(index, result)
                pending = failed
                if clamped and self._open_windows and await self._open_windows(clamped):
                    raise WindowOpenedError(why, retry_after)
                if failed:
                    raise NotTakenError(why, retry_after)

    def _wait_of(self, error: Exception) -> bool | float:
        """Return whether to send again, or after how many seconds if the server says so."""
        if not isinstance(error, NotTakenError):
            return False
        if not isinstance(error, WindowOpenedError):
            self._waiting(str(error))
        return error.retry_after or True

    async def _post(self, events: Sequence[bytes]) -> tuple[list[Result], float | None]:
        try:
            async with self._session.post(
                self._url,
                data=b"\n".join(events),
                headers=self._headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=_REQUEST_SECONDS),
            ) as response:
                self._was_answered = True
                return self._read(response, await response.read(), len(events))
        except aiohttp.ClientSSLError as error:
            raise UserError(f"No safe connection to {self._shown}/api/events: {error}") from error
        except aiohttp.ClientConnectorError as error:
            raise NotTakenError(f"no connection: {error.os_error}") from error
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError) as error:
            raise NotTakenError(str(error) or "the connection was lost") from error
        except TimeoutError as error:
            raise NotTakenError(f"no answer within {_REQUEST_SECONDS:g} s") from error
        except aiohttp.ClientError as error:
            raise UserError(
                f"What answers at {self._shown}/api/events is no headrace: {error}"
            ) from error

    def _read(
        self, response: aiohttp.ClientResponse, body: bytes, count: int
    ) -> tuple[list[Result], float | None]:
        """Return the results, and for how long to wait before those that failed are sent again."""
        retry_after = _retry_after(response)
        try:
            results = _results(body).results
        except (msgspec.DecodeError, UnicodeDecodeError):
            why = f"{self._shown}/api/events answered {response.status}: {error_of(body)}"
            if response.status in _PASSING:
                raise NotTakenError(why, retry_after) from None
            raise UserError(f"{why}. It seems to be no headrace") from None
        if len(results) != count:
            raise UserError(
                f"{self._shown} answered for {counted(len(results), 'event')}, not {count:,}"
            )
        return results, retry_after


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    text = response.headers.get("Retry-After", "")
    if not (text.isascii() and text.isdigit()):
        return None
    return min(float(text), _LONGEST_RETRY_AFTER_SECONDS)


def error_of(body: bytes) -> str:
    """Return the sentence of an error response, else how the response begins."""
    try:
        return _refusal(body).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return body[:_SHOWN_CHARACTERS].decode("utf-8", "replace").strip() or "nothing"
