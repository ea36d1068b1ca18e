"""Requests of dialects on the fast path, compared with the same requests over ASGI."""

import json
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from producer_api.events.derive.salts import day_name
from producer_api.http.app import Api
from producer_api.http.body_bytes import SMALL_BYTES
from producer_api.http.create_app import create_app
from schemas import codec
from schemas.records import RawEvent
from schemas.settings import ApiSettings, Settings
from tests.component.producer_api.conftest import NOW, client_of, new_api
from tests.component.producer_api.dialects.recordings import (
    Recorded,
    as_bytes,
    label,
    recordings,
    requests,
)
from tests.component.producer_api.fake_kafka import FakeKafka
from tests.component.producer_api.test_connections import connected
from tests.component.producer_api.test_direct import AsgiOnly, WithFastPath, request

VIEW = {"n": "pageview", "u": "https://shop.example/a", "d": "shop", "v": 36, "r": None}
READ = [
    VIEW,
    {**VIEW, "p": {"plan": "pro"}, "$": {"amount": 5, "currency": "EUR"}},
    {**VIEW, "n": "engagement", "e": "long"},
    {**VIEW, "d": "no site"},
    {**VIEW, "d": "hrk_unknown"},
    {**VIEW, "p": {"half an emoji": "\ud83d"}},
    {**VIEW, "p": {"deep": [[[[[[[[[[1]]]]]]]]]]}},
    {**VIEW, "d": "shop,blog"},
]
#: Of each recorded session.
_REQUESTS = 8
OTHERS = [{"n": "pageview"}]


def raw(body: Any) -> bytes:
    """Return a request of the script."""
    return request(b"Origin: https://shop.example\r\n", body=json.dumps(body).encode())


@pytest.fixture
async def api(fake: FakeKafka) -> Api:
    """Return the started application, with the salt of today."""
    api = new_api(fake)
    for day in api.salts.missing():
        api.salts.apply(day_name(day).encode(), api.salts.candidate(day))
    await api.start()
    return api


def stored(fake: FakeKafka) -> list[RawEvent]:
    """Return the events in Kafka with the same id."""
    events = [codec.decode(record.value, RawEvent) for record in fake.stored]
    for event in events:
        event.event_id = ""
    return events


@pytest.mark.parametrize("body", [*READ, *OTHERS])
async def test_the_fast_path_responds_as_asgi_does(api: Api, fake: FakeKafka, body: Any) -> None:
    """Byte for byte; the same events are stored. Only what no dialect reads goes over ASGI."""
    app = WithFastPath(api)
    async with connected(app) as client, connected(AsgiOnly(api)) as other:
        await client.send(raw(body))
        response = await client.response()
        by_fast_path = stored(fake)
        fake.stored.clear()
        await other.send(raw(body))

        assert response == await other.response()
    assert by_fast_path == stored(fake)
    assert app.requests == (body in OTHERS)


def needs_asgi(sent: Recorded) -> bool:
    """Return True for preflights, and clients that would rather use HTTP/2.

    So are compressed bodies, and those that are counted or translated in a thread.
    """
    names = {name.lower() for name in sent.headers}
    is_other = sent.method == "OPTIONS" or not names.isdisjoint(("content-encoding", "upgrade"))
    return is_other or len(sent.body) > SMALL_BYTES


@pytest.mark.parametrize("file", recordings(), ids=label)
async def test_recorded_requests_take_the_fast_path(api: Api, fake: FakeKafka, file: Path) -> None:
    """They get the same responses as over ASGI, byte for byte, and the same events are stored."""
    app = WithFastPath(api)
    # A response to HEAD has a length, but no body to read.
    sample = [one for one in islice(requests(file), _REQUESTS) if one.method != "HEAD"]
    async with connected(app) as client, connected(AsgiOnly(api)) as other:
        for sent in sample:
            client.writer.write(as_bytes(sent))
            response = await client.response()
            by_fast_path = stored(fake)
            fake.stored.clear()
            other.writer.write(as_bytes(sent))

            assert response == await other.response()
            assert by_fast_path == stored(fake)
            fake.stored.clear()
    assert app.requests == sum(map(needs_asgi, sample))


async def test_a_response_to_head_has_no_body(api: Api) -> None:
    """Else the next response would start with it."""
    async with connected(WithFastPath(api)) as client:
        await client.send(b"HEAD /sourceConfig/ HTTP/1.1\r\nHost: h\r\n\r\n")
        await client.head()
        await client.send(b"GET /sourceConfig/ HTTP/1.1\r\nHost: h\r\n\r\n")

        assert (await client.response()).startswith(b"HTTP/1.1 200 ")


async def test_other_spellings_of_a_target(api: Api) -> None:
    """An encoded path, an absolute URL and another method go over ASGI, with equal responses."""
    app = WithFastPath(api)
    get = b"GET %b HTTP/1.1\r\nHost: h\r\n\r\n"
    fast = [get % path for path in (b"//matomo.php/", b"/count/shop?p=/a", b"/track?data=e30%3D")]
    slow = [
        get % path for path in (b"/%63ount?p=/a", b"http://h/count?p=/a", b"/batch", b"/docs/x")
    ]
    async with connected(app) as client, connected(AsgiOnly(api)) as other:
        for sent in (*fast, *slow):
            client.writer.write(sent)
            other.writer.write(sent)

            assert await client.response() == await other.response()
    assert app.requests == len(slow)


async def test_half_an_emoji_is_replaced(api: Api, fake: FakeKafka) -> None:
    """JavaScript cuts texts between the halves; our own format rejects what cannot be encoded."""
    async with connected(WithFastPath(api)) as client:
        await client.send(raw({**VIEW, "p": {"note": "a\ud83d"}}))
        response = await client.response()

    assert response.startswith(b"HTTP/1.1 202 ")
    assert [event.properties for event in stored(fake)] == ['{"note":"a\ufffd"}']


async def test_responses_and_rejections_are_counted_once(api: Api) -> None:
    """Also those of a dialect."""
    async with connected(WithFastPath(api)) as client:
        for body in (VIEW, READ[3]):
            await client.send(raw(body))
            await client.response()

    async with client_of(api) as http:
        text = (await http.get("/metrics")).text
    assert 'headrace_api_events_accepted_total{type="pageview"} 1.0' in text
    assert 'headrace_api_events_rejected_total{reason="bad_site_id"} 1.0' in text
    assert "headrace_api_request_seconds_count 2.0" in text
    for status in (202, 400):
        expected = f'headrace_api_requests_total{{route="/api/event",status="{status}"}} 1.0'
        assert expected in text


@pytest.mark.parametrize("body", [VIEW, {**VIEW, "d": "shop,blog"}])
async def test_a_failed_event_is_to_be_sent_again(api: Api, fake: FakeKafka, body: Any) -> None:
    """As over ASGI, also if it is one of several."""
    fake.fails = True
    async with connected(WithFastPath(api)) as client, connected(AsgiOnly(api)) as other:
        await client.send(raw(body))
        await other.send(raw(body))
        response = await client.response()

        assert (b" 500 " in response, b"retry-after: 1" in response) == (True, True)
        assert response == await other.response()


async def test_a_session_id_needs_a_salt(fake: FakeKafka) -> None:
    """Until it is loaded, the event is to be sent again."""
    api = new_api(fake)
    await api.start()
    async with connected(WithFastPath(api)) as client, connected(AsgiOnly(api)) as other:
        await client.send(raw(VIEW))
        await other.send(raw(VIEW))
        response = await client.response()

        assert (b" 503 " in response, b"retry-after: 1" in response) == (True, True)
        assert response == await other.response()


async def test_a_disabled_dialect_is_an_error_on_the_fast_path(fake: FakeKafka) -> None:
    """That the page can read."""
    settings = Settings(api=ApiSettings(sites="open", dialects=("none",)))
    api = create_app(settings, connection=fake, now=lambda: NOW)
    await api.start()
    async with connected(WithFastPath(api)) as client, connected(AsgiOnly(api)) as other:
        await client.send(raw(VIEW))
        await other.send(raw(VIEW))
        response = await client.response()

        assert b" 403 " in response
        assert b"access-control-allow-origin: https://shop.example" in response
        assert response == await other.response()
