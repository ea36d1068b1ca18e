"""Batches are sent until the server has accepted or rejected each event."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
import stamina
from aiohttp import web

from headrace.errors import UserError
from headrace.traffic.replay.sender import NotAcceptedError, Result, Sender
from tests.unit.headrace.fake_headrace import Answer, FakeHeadrace, accept_all, results, serving

_EVENTS = (b"1", b"2", b"3")


class Sending:
    """A sender, the results and messages it reported, and its server."""

    def __init__(self, fake: FakeHeadrace, session: aiohttp.ClientSession) -> None:
        self.fake = fake
        self.whys: list[str] = []
        self.settled: list[tuple[int, str]] = []
        self._sender = Sender(session, fake.url, self.whys.append)

    async def send(self) -> None:
        """Send the three events."""

        def on_result(index: int, result: Result) -> None:
            self.settled.append((index, result.status))

        await self._sender.send(_EVENTS, on_result)


@asynccontextmanager
async def sending(answer: Answer) -> AsyncIterator[Sending]:
    """Return a function that creates a sender for a server with scripted answers."""
    async with serving(answer) as fake, aiohttp.ClientSession() as session:
        yield Sending(fake, session)


@pytest.fixture(autouse=True)
def _no_waits() -> Iterator[None]:
    """Retry at once, at most five times."""
    with stamina.set_testing(True, attempts=5):
        yield


async def test_a_batch_is_ndjson_and_results_are_reported_in_order() -> None:
    """Rejections are results, too."""
    async with sending(lambda *_: results("accepted", "rejected", "accepted")) as it:
        await it.send()

        assert it.fake.batches == [[b"1", b"2", b"3"]]
        assert it.fake.content_types == {"application/x-ndjson"}
        assert it.settled == [(0, "accepted"), (1, "rejected"), (2, "accepted")]
        assert it.whys == []


async def test_a_batch_of_rejected_events_is_not_retried() -> None:
    """Although its status is 400."""
    async with sending(lambda *_: results(*["rejected"] * 3, status=400)) as it:
        await it.send()

        assert len(it.settled) == 3
        assert len(it.fake.batches) == 1


async def test_only_failed_events_are_retried() -> None:
    """In order, and each gets one result."""

    def answer(request: int, lines: list[bytes]) -> web.Response:
        if request == 0:
            return results("failed", "accepted", "failed")
        return results("rejected", "accepted") if len(lines) == 2 else results()

    async with sending(answer) as it:
        await it.send()

        assert it.fake.batches == [[b"1", b"2", b"3"], [b"1", b"3"]]
        assert it.settled == [(1, "accepted"), (0, "rejected"), (2, "accepted")]
        assert it.whys == ["failed!"]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
async def test_transient_errors_are_retried_and_reported(status: int) -> None:
    """The whole batch, byte for byte, so that events count once."""

    def answer(request: int, lines: list[bytes]) -> web.Response:
        if request < 2:
            return web.json_response({"error": "Not now", "code": "x"}, status=status)
        return accept_all(request, lines)

    async with sending(answer) as it:
        await it.send()

        assert it.fake.batches == [list(_EVENTS)] * 3
        assert it.whys == [f"{it.fake.url}api/events returned {status}: Not now"] * 2


async def test_a_lost_connection_is_retried() -> None:
    """The server may have accepted the events; their ids are deduplicated."""

    def answer(request: int, lines: list[bytes]) -> web.Response | None:
        return None if request == 0 else accept_all(request, lines)

    async with sending(answer) as it:
        await it.send()

        assert it.whys == ["Server disconnected"]
        assert it.fake.batches == [list(_EVENTS)] * 2
        assert len(it.settled) == 3


@pytest.mark.parametrize(("header", "waited"), [("7", 7.0), ("9999", 60.0), ("soon", True)])
async def test_retry_after_is_honoured(header: str, waited: float) -> None:
    """Up to a minute; invalid values are ignored."""
    full = web.json_response({"error": "Full"}, status=503, headers={"Retry-After": header})
    async with sending(lambda *_: full) as it:
        with pytest.raises(NotAcceptedError) as raised:
            await it._sender._post(_EVENTS)  # noqa: SLF001 - waits are not slept in tests

        assert it._sender._retry_delay(raised.value) == waited  # noqa: SLF001


async def test_a_timeout_reports_the_reason() -> None:
    """Results before it are kept."""

    def answer(_: int, lines: list[bytes]) -> web.Response:
        return results(*["accepted"] * (len(lines) - 2), "failed", "failed")

    async with sending(answer) as it:
        with pytest.raises(NotAcceptedError, match="failed!"):
            await it.send()

        assert len(it.fake.batches) == 5
        assert it.settled == [(0, "accepted")]


@pytest.mark.parametrize(
    ("response", "sentence"),
    [
        (
            (404, {"error": "Nothing here"}),
            "returned 404: Nothing here. It does not seem to be headrace",
        ),
        ((200, ["hello"]), "returned 200"),
        ((301, {}), "returned 301"),
        ((202, {"results": []}), "returned 0 results for 3 events"),
    ],
)
async def test_a_server_that_is_not_headrace_is_an_error_at_once(
    response: tuple[int, object], sentence: str
) -> None:
    """It is not retried."""
    (status, body) = response
    async with sending(lambda *_: web.Response(status=status, text=json.dumps(body))) as it:
        with pytest.raises(UserError, match=sentence):
            await it.send()

        assert len(it.fake.batches) == 1


async def test_a_server_that_never_answers_is_an_error_with_what_to_do(
    unused_tcp_port: int,
) -> None:
    """It was most likely not started."""
    async with aiohttp.ClientSession() as session:
        sender = Sender(session, f"http://127.0.0.1:{unused_tcp_port}", lambda _: None)

        with pytest.raises(UserError, match="Start headrace with `headrace up`"):
            await sender.send(_EVENTS, lambda *_: None)


async def test_events_over_a_rate_limit_are_sent_again() -> None:
    """Unlike other rejections, which nothing but a change of the events resolves."""

    def answer(request: int, lines: list[bytes]) -> web.Response:
        if request:
            return accept_all(request, lines)
        limited = {"index": 2, "status": "rejected", "code": "rate_limited", "error": "too many"}
        accepted = [{"index": index, "status": "accepted"} for index in range(2)]
        body = {"accepted": 2, "rejected": 1, "results": [*accepted, limited]}
        return web.json_response(body, status=207, headers={"Retry-After": "1"})

    async with sending(answer) as it:
        await it.send()

        assert it.fake.batches == [[b"1", b"2", b"3"], [b"3"]]
        assert it.settled == [(0, "accepted"), (1, "accepted"), (2, "accepted")]
        assert it.whys == ["too many"]
