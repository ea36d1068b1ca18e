"""Rules of sites, and the failures of the server, as the clients of other systems see them."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from producer_api.events.derive.salts import day_name
from producer_api.http.app import Api
from producer_api.http.create_app import create_app
from schemas import codec
from schemas.records import RawEvent
from schemas.settings import ApiSettings, Settings
from tests.component.producer_api.conftest import NOW, client_of
from tests.component.producer_api.fake_kafka import FakeKafka
from tests.component.producer_api.test_access import KEY, key, site
from tests.unit.producer_api.derivation import CHROME

_OTHER_KEY = "hrk_the-key-of-the-blog"
_URL = "https://shop.example/pricing"


@pytest.fixture
def kafka() -> FakeKafka:
    """Return the Kafka of the application."""
    return FakeKafka()


@pytest.fixture
async def api(kafka: FakeKafka) -> Api:
    """Return an application with two registered sites, of which `blog` has a rate limit."""
    settings = ApiSettings(sites="registered", deadline_seconds=0.3)
    api = create_app(
        Settings(api=settings), connection=kafka, now=lambda: NOW, clock=lambda: 1_000.0
    )
    for one in (
        site("shop", keys=[key()], origins=["https://shop.example"]),
        site("blog", keys=[key(_OTHER_KEY)], events_per_second=1),
    ):
        api.sites.apply(one.site_id.encode(), codec.encode(one))
    await api.start()
    return api


def add_salts(api: Api) -> None:
    """Create the salt of today, as soon as the topic of salts is read."""
    for day in api.salts.missing():
        api.salts.apply(day_name(day).encode(), api.salts.candidate(day))


@pytest.fixture
async def client(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of the application, once it has salts."""
    add_salts(api)
    async with client_of(api) as client:
        yield client


async def send(client: httpx.AsyncClient, site_id: str, **members: Any) -> httpx.Response:
    """Send an event of Plausible."""
    event = {"n": "pageview", "d": site_id, "u": _URL, **members}
    return await client.post(
        "/api/event", content=json.dumps(event), headers={"User-Agent": CHROME}
    )


def stored(kafka: FakeKafka) -> list[RawEvent]:
    """Return the events in Kafka."""
    return [codec.decode(record.value, RawEvent) for record in kafka.stored]


async def test_each_event_of_a_batch_may_have_its_own_site_key(
    client: httpx.AsyncClient, kafka: FakeKafka
) -> None:
    """The key of one event neither vouches for another, nor rejects it, even if no site has it."""
    sites = (KEY, "hrk_unknown", _OTHER_KEY, "shop")
    view = {"event": "$pageview", "distinct_id": "u", "properties": {"$current_url": _URL}}
    batch = [{**view, "api_key": key} for key in sites]

    response = await client.post("/batch/", json={"batch": batch})

    assert response.json()["code"] == "bad_key"
    assert [(event.site_id, event.trust) for event in stored(kafka)] == [
        ("shop", "key"),
        ("blog", "key"),
        ("shop", "open"),
    ]


async def test_a_site_key_stands_for_its_site(client: httpx.AsyncClient, kafka: FakeKafka) -> None:
    """The event is one of the back end, which may send payments."""
    response = await send(client, KEY, **{"$": {"amount": 5, "currency": "EUR"}})

    (event,) = stored(kafka)
    assert response.status_code == 202
    assert (event.site_id, event.trust, event.type) == ("shop", "key", "payment")


@pytest.mark.parametrize(
    ("site_id", "members", "status", "code"),
    [
        ("hrk_unknown", {}, 401, "bad_key"),
        ("other", {}, 403, "unknown_site"),
        ("shop", {"$": {"amount": 5}}, 403, "key_required"),
        ("shop", {"u": "https://a.example/"}, 403, "origin_not_allowed"),
        ("a" * 65, {}, 400, "bad_site_id"),
        ("", {}, 400, "missing_fields"),
        (f"shop,{'a' * 65}", {}, 400, "bad_site_id"),
    ],
)
async def test_rejections_are_those_of_our_own_api(
    client: httpx.AsyncClient, site_id: str, members: dict[str, Any], status: int, code: str
) -> None:
    """Also of one of several sites."""
    response = await send(client, site_id, **members)

    assert (response.status_code, response.json()["code"]) == (status, code)


async def test_each_of_several_sites_gets_the_event(
    client: httpx.AsyncClient, kafka: FakeKafka
) -> None:
    """In separate sessions."""
    response = await send(client, "shop,blog")

    events = stored(kafka)
    assert response.status_code == 202
    assert {event.site_id for event in events} == {"shop", "blog"}
    assert len({event.session_id for event in events}) == 2


async def test_an_exceeded_rate_limit_says_when_to_retry(client: httpx.AsyncClient) -> None:
    """As for our own events."""
    responses = [await send(client, "blog") for _ in range(11)]

    response = responses.pop()
    assert {one.status_code for one in responses} == {202}

    assert (response.status_code, response.json()["code"]) == (429, "rate_limited")
    assert response.headers["retry-after"] == "1"


async def test_an_event_that_kafka_does_not_take_is_to_be_sent_again(
    client: httpx.AsyncClient, kafka: FakeKafka
) -> None:
    """Also if Kafka takes that of another site."""
    kafka.fails = True

    response = await send(client, "shop")

    assert (response.status_code, response.json()["code"]) == (500, "not_accepted")
    assert response.headers["retry-after"] == "1"


async def test_a_session_needs_the_salt_of_the_day(api: Api, kafka: FakeKafka) -> None:
    """Until it is read from Kafka, requests are to be sent again."""
    async with client_of(api) as client:
        response = await send(client, "shop")

        assert (response.status_code, response.json()["code"]) == (503, "not_ready")
        assert response.headers["retry-after"] == "1"
        assert kafka.stored == []

        add_salts(api)
        assert (await send(client, "shop")).status_code == 202


async def test_the_role_is_ready_when_it_has_a_salt(api: Api) -> None:
    """Clients that send nothing twice would lose events before."""
    problems = [api.problem]
    api.keep_salts(api.drain)
    problems.append(api.problem)
    add_salts(api)
    problems.append(api.problem)

    assert problems == [None, "The salts of visitor ids are being read from Kafka", None]


@pytest.mark.parametrize(
    ("headers", "same"),
    [
        ({}, True),
        ({"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0"}, False),
    ],
)
async def test_sessions_are_by_address_and_user_agent(
    client: httpx.AsyncClient, kafka: FakeKafka, headers: dict[str, str], same: bool
) -> None:
    """Of clients that have no session ids."""
    await client.post("/count/shop?p=/", headers={"User-Agent": CHROME})
    await client.post("/count/shop?p=/a", headers={"User-Agent": CHROME, **headers})

    (one, other) = stored(kafka)
    assert (one.session_id == other.session_id) is same


async def test_a_back_end_reports_addresses_of_visitors(
    client: httpx.AsyncClient, kafka: FakeKafka
) -> None:
    """Its site key vouches for them, so that each visitor has a session."""
    hits = [{"path": "/", "ip": ip, "user_agent": CHROME} for ip in ("8.8.8.8", "1.1.1.1")]

    response = await client.post(
        "/api/v0/count", json={"hits": hits}, headers={"Authorization": f"Bearer {KEY}"}
    )

    assert (response.status_code, response.json()) == (202, {"status": "ok"})
    (one, other) = stored(kafka)
    assert one.session_id != other.session_id
    assert {one.country, other.country} != {None}


async def test_events_that_mean_two_do_not_exceed_the_limit(
    client: httpx.AsyncClient, kafka: FakeKafka
) -> None:
    """A page view of PostHog may be the leave of the page before, too."""
    view = {"event": "$pageview", "properties": {"$prev_pageview_duration": 1.5}}

    response = await client.post("/batch/", json={"api_key": KEY, "batch": [view] * 1_001})

    assert response.status_code == 200
    assert len(stored(kafka)) == 2_002


async def test_a_batch_may_have_two_thousand_events(client: httpx.AsyncClient) -> None:
    """As those of Mixpanel and Amplitude."""
    response = await client.post(
        "/api/v0/count", json={"hits": [{}] * 2_001}, headers={"Authorization": f"Bearer {KEY}"}
    )

    assert response.status_code == 413
    assert response.json() == {"errors": {"0": "A request has at most 2,000 events, not 2,001"}}


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("OPTIONS", "/count/shop", 204, "GET, POST, OPTIONS"),
        ("OPTIONS", "/api/v0/count/", 204, "POST, OPTIONS"),
        ("GET", "/api/v0/count", 405, "POST, OPTIONS"),
        ("DELETE", "/count", 405, "GET, POST, OPTIONS"),
        ("GET", "/count/a/b", 404, None),
    ],
)
async def test_methods_are_those_of_the_endpoints(
    client: httpx.AsyncClient, method: str, path: str, status: int, allow: str | None
) -> None:
    """Preflights are answered for each."""
    response = await client.request(method, path, headers={"Origin": "https://shop.example"})

    assert (response.status_code, response.headers.get("allow")) == (status, allow)


async def test_a_batch_over_the_burst_is_complete_once_a_token_is_left(
    client: httpx.AsyncClient, kafka: FakeKafka
) -> None:
    """Its client would send all of it again, for ever. The next request waits for longer."""
    batch = {"batch": [{"event": "a", "distinct_id": "u"}] * 50, "api_key": "blog"}

    response = await client.post("/batch/", json=batch)

    assert response.status_code == 200
    assert len(kafka.stored) == 50  # the burst of one event a second is 10
    response = await client.post("/batch/", json=batch)
    assert (response.status_code, response.headers["retry-after"]) == (429, "41")
    assert len(kafka.stored) == 50


async def test_an_event_admits_others_of_its_site_only(
    client: httpx.AsyncClient, kafka: FakeKafka
) -> None:
    """Else a batch that begins with a site without a limit could flood one that has one."""
    event = {"event": "a", "distinct_id": "u"}
    of_blog = [{**event, "api_key": "blog"}] * 10

    first = await client.post("/batch/", json={"batch": of_blog})
    second = await client.post("/batch/", json={"batch": [{**event, "api_key": KEY}, *of_blog]})

    assert (first.status_code, second.status_code) == (200, 429)
    assert len(kafka.stored) == 10 + 1


async def test_a_site_key_admits_no_events_without_it(kafka: FakeKafka) -> None:
    """Those count against the limit of their address."""
    settings = ApiSettings(sites="registered", max_events_per_second_per_address=1)
    api = create_app(
        Settings(api=settings), connection=kafka, now=lambda: NOW, clock=lambda: 1_000.0
    )
    api.sites.apply(b"shop", codec.encode(site("shop", keys=[key()])))
    await api.start()
    event = {"event": "a", "distinct_id": "u"}
    batch = [{**event, "api_key": KEY}, *[{**event, "api_key": "shop"}] * 10]

    async with client_of(api) as client:
        statuses = [
            (await client.post("/batch/", json={"batch": batch})).status_code for _ in range(2)
        ]

    assert statuses == [200, 429]
