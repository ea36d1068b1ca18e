"""Send batches over HTTP, one at a time, until the server has accepted or rejected each event."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

import aiohttp
import msgspec
import stamina

from headrace.errors import UserError
from headrace.traffic.replay.endpoint import endpoint
from schemas.plurals import counted
from schemas.reject_reasons import RejectReason

#: How long a batch is retried.
RETRY_TIMEOUT_SECONDS = 180.0
#: How long the first batch is retried if the server has not responded to any request.
FIRST_RETRY_TIMEOUT_SECONDS = 15.0

_REQUEST_TIMEOUT_SECONDS = 60.0
_MAX_BACKOFF_SECONDS = 10.0
_MAX_RETRY_AFTER_SECONDS = 60.0
_HEADERS = {"Content-Type": "application/x-ndjson"}
_CLAMPED = RejectReason.WOULD_BE_CLAMPED.code
_RATE_LIMITED = RejectReason.RATE_LIMITED.code
_NEVER_CLAMP = {"Headrace-Clamp": "never"}
_SHOWN_CHARACTERS = 200

#: Statuses of transient errors, after which the same batch is retried.
_TRANSIENT_STATUSES = frozenset({408, 429, 500, 502, 503, 504})


class Result(msgspec.Struct, frozen=True):
    """The server's result for one event."""

    status: Literal["accepted", "rejected", "failed"]
    code: str = ""
    error: str = ""
    clamped: str = ""


#: Called with an event's index and result.
OnResult = Callable[[int, Result], None]
#: Sends events until each has a result.
Send = Callable[[Sequence[bytes], OnResult], Awaitable[None]]
#: Opens the import windows for events; returns False if all of them were open.
OpenWindows = Callable[[Sequence[bytes]], Awaitable[bool]]


class _Results(msgspec.Struct):
    results: list[Result]


class _ErrorBody(msgspec.Struct):
    error: str


class NotAcceptedError(Exception):
    """The server did not accept events, but may if they are sent again; the message says why."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class WindowOpenedError(NotAcceptedError):
    """Events need an import window, which has now been opened."""


_results = msgspec.json.Decoder(_Results).decode
_error_body = msgspec.json.Decoder(_ErrorBody).decode


class Sender:
    """Sends events to one server. `on_retry` is called with the reason of each retry.

    With `open_windows`, no timestamp is clamped: it is called with events that need a window.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        base: str,
        on_retry: Callable[[str], None],
        open_windows: OpenWindows | None = None,
    ) -> None:
        self._session = session
        self._url, self._shown = endpoint(base)
        self._on_retry = on_retry
        self._open_windows = open_windows
        self._headers = _HEADERS if open_windows is None else _HEADERS | _NEVER_CLAMP
        self._was_answered = False

    async def send(self, events: Sequence[bytes], on_result: OnResult) -> None:
        """Send the events until each is accepted or rejected.

        `on_result` is called once for each event, as soon as its result is known. Raises
        `NotAcceptedError` if some are not accepted within minutes, `UserError` if no server
        responds or it is not headrace.
        """
        try:
            await self._send(events, on_result)
        except NotAcceptedError as error:
            if self._was_answered:
                raise
            raise UserError(
                f"No server responds at {self._shown} ({error}). Start headrace with "
                "`headrace up`, or specify another address with --to"
            ) from error

    async def _send(self, events: Sequence[bytes], on_result: OnResult) -> None:
        pending = list(range(len(events)))
        async for attempt in stamina.retry_context(
            on=self._retry_delay,
            attempts=None,
            timeout=RETRY_TIMEOUT_SECONDS if self._was_answered else FIRST_RETRY_TIMEOUT_SECONDS,
            wait_initial=0.2,
            wait_max=_MAX_BACKOFF_SECONDS,
        ):
            with attempt:
                (results, retry_after) = await self._post([events[index] for index in pending])
                (failed, clamped) = ([], [])
                for index, result in zip(pending, results, strict=True):
                    is_clamped = self._open_windows is not None and result.code == _CLAMPED
                    if is_clamped:
                        clamped.append(events[index])
                    if is_clamped or result.status == "failed" or result.code == _RATE_LIMITED:
                        failed.append(index)
                        reason = result.error
                    else:
                        on_result(index, result)
                pending = failed
                if clamped and self._open_windows and await self._open_windows(clamped):
                    raise WindowOpenedError(reason, retry_after)
                if failed:
                    raise NotAcceptedError(reason, retry_after)

    def _retry_delay(self, error: Exception) -> bool | float:
        """Return whether to retry, or the seconds of the response's `Retry-After`."""
        if not isinstance(error, NotAcceptedError):
            return False
        if not isinstance(error, WindowOpenedError):
            self._on_retry(str(error))
        return error.retry_after or True

    async def _post(self, events: Sequence[bytes]) -> tuple[list[Result], float | None]:
        try:
            async with self._session.post(
                self._url,
                data=b"\n".join(events),
                headers=self._headers,
                # The client is not a visitor: nothing is derived from its address (ADR 64).
                skip_auto_headers=("User-Agent",),
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=_REQUEST_TIMEOUT_SECONDS),
            ) as response:
                self._was_answered = True
                return self._read(response, await response.read(), len(events))
        except aiohttp.ClientSSLError as error:
            raise UserError(f"No secure connection to {self._shown}/api/events: {error}") from error
        except aiohttp.ClientConnectorError as error:
            raise NotAcceptedError(f"no connection: {error.os_error}") from error
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError) as error:
            raise NotAcceptedError(str(error) or "the connection was lost") from error
        except TimeoutError as error:
            raise NotAcceptedError(f"no response within {_REQUEST_TIMEOUT_SECONDS:g} s") from error
        except aiohttp.ClientError as error:
            raise UserError(
                f"The server at {self._shown}/api/events is not headrace: {error}"
            ) from error

    def _read(
        self, response: aiohttp.ClientResponse, body: bytes, count: int
    ) -> tuple[list[Result], float | None]:
        """Return the results, and the seconds of `Retry-After` or None."""
        retry_after = _retry_after(response)
        try:
            results = _results(body).results
        except (msgspec.DecodeError, UnicodeDecodeError):
            reason = f"{self._shown}/api/events returned {response.status}: {error_of(body)}"
            if response.status in _TRANSIENT_STATUSES:
                raise NotAcceptedError(reason, retry_after) from None
            raise UserError(f"{reason}. It does not seem to be headrace") from None
        if len(results) != count:
            raise UserError(
                f"{self._shown} returned {counted(len(results), 'result')} for {count:,} events"
            )
        return results, retry_after


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    text = response.headers.get("Retry-After", "")
    if not (text.isascii() and text.isdigit()):
        return None
    return min(float(text), _MAX_RETRY_AFTER_SECONDS)


def error_of(body: bytes) -> str:
    """Return the message of an error response, or the beginning of any other body."""
    try:
        return _error_body(body).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return body[:_SHOWN_CHARACTERS].decode("utf-8", "replace").strip() or "nothing"
