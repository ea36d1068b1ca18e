"""The dialects accept or reject any request, and the same request always means the same."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from producer_api.access.sites import Sites
from producer_api.events.client import Client
from producer_api.events.derive.steps import derive
from producer_api.events.dialects.completion import Completion
from producer_api.events.dialects.fitting import fit
from producer_api.events.dialects.parsing import plain_json
from producer_api.events.dialects.registry import DIALECTS
from producer_api.events.fast_parse import read_fast
from producer_api.events.parse import parse
from producer_api.events.rejection import Rejected
from producer_api.events.request import Request
from producer_api.http.paths import DIALECT_ROUTES, route_path
from schemas import codec
from schemas.records import RawEvent
from tests.component.producer_api.conftest import client_of
from tests.component.producer_api.dialects.recordings import Recorded, Replay, recordings, requests
from tests.fixtures.examples import at_most
from tests.property.producer_api.test_parse_properties import CONTEXT, JSON, NOW, TEXTS
from tests.unit.producer_api.derivation import CHROME, LOOKUPS

_INTERNAL_ERROR = 500
CLIENT = Client(address="8.8.8.8", user_agent=CHROME, language="de-AT,de")

RECORDED = [
    request for file in recordings() for request in requests(file) if request.method != "OPTIONS"
]
ENDPOINTS = [
    (method, endpoint.path.replace("{", "").replace("}", ""))
    for dialect in DIALECTS
    for endpoint in dialect.endpoints
    for method in endpoint.methods
]
#: Members and parameters that clients send, with any value.
NAMES = sorted(
    {name for request in RECORDED for name in dict(parse_qsl(urlsplit(request.path).query))}
    | {
        name
        for request in RECORDED
        if request.body.startswith(b"{")
        for name in json.loads(request.body)
    }
)
MANY = st.lists(st.integers(), min_size=2_000, max_size=4_000)
DEEP = st.integers(1, 400).map(lambda levels: json.loads("[" * levels + "]" * levels))
VALUES = st.one_of(JSON, JSON, JSON, MANY, DEEP, st.just(10**400), st.text(min_size=2_000))


class Application:
    """The application with a stopped clock, called without a server."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._replay = Replay()
        self._replay.set_clock(NOW)
        self._runner.run(self._replay.start())

    def events_of(self, request: Recorded) -> list[dict[str, Any]]:
        """Send a request, and return what was stored; the server may not fail."""
        response = self._runner.run(self._send(request))
        assert response.status_code < _INTERNAL_ERROR, response.text
        stored = [codec.decode(record.value, RawEvent) for record in self._replay.kafka.stored]
        self._replay.kafka.stored.clear()
        return [
            {name: getattr(event, name) for name in event.__struct_fields__ if name != "event_id"}
            for event in stored
        ]

    async def _send(self, request: Recorded) -> httpx.Response:
        async with client_of(self._replay.api) as client:
            return await client.request(
                request.method, request.path, headers=request.headers, content=request.body
            )

    def close(self) -> None:
        """Close the event loop."""
        self._runner.close()


@pytest.fixture(scope="module")
def application() -> Iterator[Application]:
    """Return the application, with all dialects."""
    application = Application()
    yield application
    application.close()


def encoded(value: Any) -> bytes:
    """Return JSON as Python writes it, with NaN, and surrogates in CESU-8."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def nodes(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each object or array of a JSON value with each of its keys."""
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from nodes(value[key])


@st.composite
def mutated(draw: st.DrawFn) -> Recorded:
    """Return a recorded request with other values in its body or its query."""
    request = draw(st.sampled_from(RECORDED))
    (path, _, query) = request.path.partition("?")
    if query:
        names = dict(parse_qsl(query, keep_blank_values=True))
        for name in draw(st.lists(st.sampled_from(sorted(names)), max_size=3)):
            names[name] = draw(st.one_of(TEXTS, JSON.map(json.dumps)))
        query = urlencode(names, errors="surrogatepass")
    return replace(request, path=f"{path}?{query}", body=draw(bodies_like(request.body)))


@st.composite
def bodies_like(draw: st.DrawFn, body: bytes) -> bytes:
    """Return the body with other values if it is JSON, else with other bytes."""
    try:
        value = json.loads(body)
    except ValueError:
        start = draw(st.integers(0, len(body)))
        return body[:start] + draw(st.binary(max_size=8)) + body[start + draw(st.integers(0, 8)) :]
    for _ in range(draw(st.integers(1, 3))):
        if found := list(nodes(value)):
            (parent, key) = draw(st.sampled_from(found))
            parent[key] = draw(VALUES)
    return encoded(value)


@st.composite
def invented(draw: st.DrawFn) -> Recorded:
    """Return a request to any endpoint, with any query and body."""
    (method, path) = draw(st.sampled_from(ENDPOINTS))
    members = st.dictionaries(st.one_of(st.sampled_from(NAMES), TEXTS), VALUES, max_size=8)
    query = draw(st.dictionaries(st.sampled_from(NAMES), TEXTS, max_size=8))
    batches = st.dictionaries(st.sampled_from([*NAMES, "hits"]), st.lists(members), min_size=1)
    objects = st.one_of(members, st.lists(members), batches, JSON)
    body = draw(st.one_of(st.binary(), objects.map(encoded)))
    target = f"{path}?{urlencode(query, errors='surrogatepass')}"
    headers = {"Origin": "https://shop.example"}
    if draw(st.booleans()):
        headers = {"Authorization": draw(st.sampled_from(["Bearer hrk_a", "Basic aHJrX2E6", "a"]))}
    return Recorded(NOW, method, target, headers, body)


def plausible(properties: bytes) -> Recorded:
    """Return a request of Plausible with these properties."""
    body = b'{"n":"a","d":"b","u":"https://b.example/","p":' + properties + b"}"
    return Recorded(NOW, "POST", "/api/event", {}, body)


def translated(request: Recorded) -> list[Any]:
    """Return the translation of each endpoint that matches a request; None if it is rejected."""
    (path, _, query) = request.path.partition("?")
    headers = {name.lower().encode(): value.encode() for name, value in request.headers.items()}
    plain = Request(request.method, route_path(path), query, headers, request.body)
    translations: list[Any] = []
    for _, endpoint in DIALECT_ROUTES.at(plain.path):
        try:
            if endpoint.matches(plain):
                translations.append(endpoint.translate(plain))
        except Rejected:
            translations.append(None)
    return translations


@given(st.one_of(mutated(), invented()))
@example(
    Recorded(NOW, "POST", "/api/event", {}, b'{"n":"a","d":"b","p":' + b"[" * 900 + b"]" * 900)
)
@example(
    Recorded(NOW, "POST", "/api/event", {}, b'{"n":"a","d":"b","p":"\xed\xa0\xbd\xed\xb8\x80"}')
)
@example(Recorded(NOW, "POST", "/api/event", {}, b'{"n":"a","d":"b","p":"\\ud800"}'))
def test_a_translation_is_repeatable_and_raises_only_rejections(request: Recorded) -> None:
    """The same request gives the same events."""
    assert encoded(translated(request)) == encoded(translated(request))


@settings(max_examples=at_most(60))
@given(request=st.one_of(mutated(), invented()))
def test_any_request_is_accepted_or_rejected(application: Application, request: Recorded) -> None:
    """Never with an internal error; the same request is stored as the same events."""
    assert application.events_of(request) == application.events_of(request)


COMPLETION = Completion(Sites(), LOOKUPS.visitor_of, lambda: NOW)


@settings(max_examples=at_most(60))
@given(st.one_of(mutated(), invented()))
def test_the_compiled_reader_agrees_with_the_parser(request: Recorded) -> None:
    """On translated events, which only the parser gets after `fit`."""
    context = replace(CONTEXT, derive=partial(derive, LOOKUPS))
    for events in translated(request):
        for event in completed(events or []):
            if (plain := plain_json(event)) and (
                fast := read_fast(plain[0], context, CLIENT, plain[1])
            ):
                assert fast == parse(msgspec.json.encode(fit(event)), context, CLIENT)


def completed(events: list[Any]) -> list[Any]:
    """Return the events with ids; none if their site key is unknown."""
    try:
        return COMPLETION.complete(events, CLIENT)[0]
    except Rejected:
        return []
