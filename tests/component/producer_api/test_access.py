"""Who may send events: each rejection, on the fast path, over ASGI and in batches."""

import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import pytest
from prometheus_client import generate_latest

from producer_api.access.control import MAX_BUCKETS
from producer_api.http.app import Api
from producer_api.http.create_app import create_app
from schemas import codec
from schemas.blocked_ids import hash_of, key_of
from schemas.codec import decode
from schemas.headers import EVENT_ID
from schemas.records import BlockedId, RawEvent, Site, SiteKey
from schemas.settings import ApiSettings, Settings
from tests.component.producer_api.conftest import NOW
from tests.component.producer_api.fake_kafka import FakeKafka
from tests.component.producer_api.test_connections import connected
from tests.component.producer_api.test_direct import AsgiOnly, WithFastPath

KEY = "hrk_the-key-of-the-shop"
SHOP = "https://shop.example"
WITH_KEY = {"Authorization": f"Bearer {KEY}"}
WAYS = ("fast", "asgi", "batch")
ways = pytest.mark.parametrize("way", WAYS)


class Clock:
    """A monotonic clock that only the test moves."""

    now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


class Outcome(NamedTuple):
    """The outcome of one event: status and code, headers of the response, members of the JSON."""

    status: int
    code: str
    headers: Mapping[str, str]
    body: dict[str, Any]


def site(site_id: str = "shop", **fields: Any) -> Site:
    """Return a registered site."""
    return Site(site_id=site_id, created_at=NOW, updated_at=NOW, **fields)


def key(text: str = KEY) -> SiteKey:
    """Return the record of a site key."""
    digest = sha256(text.encode()).hexdigest()
    return SiteKey(key_id=str(uuid4()), name="", hash=digest, created_at=NOW)


@pytest.fixture
def clock() -> Clock:
    """Return the clock of rate limits."""
    return Clock()


@pytest.fixture
async def make(fake: FakeKafka, clock: Clock) -> Callable[..., Any]:
    """Return a function that starts the application with registered sites."""

    async def started(*sites: Site, **settings: Any) -> Api:
        options = {"sites": "registered", "trusted_proxies": ("127.0.0.0/8",), **settings}
        api = create_app(
            Settings(api=ApiSettings(**options)), connection=fake, now=lambda: NOW, clock=clock
        )
        for one in sites:
            api.sites.apply(one.site_id.encode(), codec.encode(one))
        await api.start()
        return api

    return started


async def post(
    api: Api, way: str, headers: Mapping[str, str] | None = None, **fields: Any
) -> Outcome:
    """Send an event, and return its outcome."""
    event = {"type": "pageview", "site_id": "shop", "session_id": "s", **fields}
    content: Any = [event] if way == "batch" else event
    body = json.dumps(content).encode()
    path = "/api/events" if way == "batch" else "/api/event"
    lines = {"Host": "h", "Content-Length": str(len(body)), **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    async with connected(AsgiOnly(api) if way == "asgi" else WithFastPath(api)) as client:
        await client.send(f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
        raw = await client.response()
    start, _, text = raw.partition(b"\r\n\r\n")
    first, *others = start.decode().lower().split("\r\n")
    received = dict(line.split(": ", 1) for line in others)
    answer = json.loads(text)
    if way == "batch":
        (answer,) = answer["results"]
    return Outcome(int(first.split()[1]), answer.get("code", "accepted"), received, answer)


def last_event(fake: FakeKafka) -> RawEvent:
    """Return the last event in Kafka."""
    return decode(fake.stored[-1].value, RawEvent)


def counted(api: Api, name: str) -> dict[str, float]:
    """Return the samples of a metric by labels, without zeros."""
    lines = generate_latest(api.operations.registry).decode().splitlines()
    samples = (line.rpartition(" ") for line in lines if line.startswith(f"{name}{{"))
    return {labels: float(value) for labels, _, value in samples if float(value)}


#: The rules of the site, the headers and fields of an event, and its status and code.
DECISIONS: dict[str, tuple[dict[str, Any], dict[str, str], dict[str, Any], int, str]] = {
    "unknown site": ({}, {}, {"site_id": "other"}, 403, "unknown_site"),
    "unknown site with a key": ({}, WITH_KEY, {"site_id": "other"}, 403, "unknown_site"),
    "no rules": ({}, {}, {}, 202, "accepted"),
    "foreign origin": ({"origins": [SHOP]}, {"Origin": "https://a.example"}, {}, 403,
                       "origin_not_allowed"),
    "opaque origin": ({"origins": [SHOP]}, {"Origin": "null"}, {}, 403, "origin_not_allowed"),
    "other scheme": ({"origins": [SHOP]}, {"Origin": "http://shop.example"}, {}, 403,
                     "origin_not_allowed"),
    "foreign url": ({"origins": [SHOP]}, {}, {"url": "https://a.example/x"}, 403,
                    "origin_not_allowed"),
    "own url": ({"origins": [SHOP]}, {}, {"url": f"{SHOP}/x"}, 202, "accepted"),
    "own origin": ({"origins": [SHOP]}, {"Origin": SHOP}, {}, 202, "accepted"),
    "subdomain": ({"origins": ["https://*.shop.example"]}, {"Origin": "https://a.shop.example"},
                  {}, 202, "accepted"),
    "lookalike": ({"origins": ["*.shop.example"]}, {"Origin": "https://badshop.example"}, {}, 403,
                  "origin_not_allowed"),
    "neither origin nor url": ({"origins": [SHOP]}, {}, {}, 202, "accepted"),
    "key instead of origin": ({"origins": [SHOP], "keys": [key()]},
                              {**WITH_KEY, "Origin": "https://a.example"}, {}, 202, "accepted"),
    "wrong key": ({"keys": [key()]}, {"Authorization": "Bearer hrk_x"}, {}, 401, "bad_key"),
    "wrong key where none is needed": ({}, {"Authorization": "Bearer hrk_x"}, {}, 401, "bad_key"),
    "key of another site": ({"keys": [key("hrk_other")]}, WITH_KEY, {}, 401, "bad_key"),
    "forged payment": ({"keys": [key()]}, {}, {"type": "payment", "amount": 1}, 403,
                       "key_required"),
    "forged payment from the site's origin": ({"origins": [SHOP], "keys": [key()]},
                                              {"Origin": SHOP}, {"type": "payment", "amount": 1},
                                              403, "key_required"),
    "payment of the back end": ({"keys": [key()]}, WITH_KEY, {"type": "payment", "amount": 1}, 202,
                                "accepted"),
    "payment without keys": ({}, {}, {"type": "payment", "amount": 1}, 202, "accepted"),
    "required type": ({"require_key": ["error"], "keys": [key()]}, {}, {"type": "error"}, 403,
                      "key_required"),
    "no required types": ({"require_key": [], "keys": [key()]}, {},
                          {"type": "payment", "amount": 1}, 202, "accepted"),
}  # fmt: skip


@ways
@pytest.mark.parametrize("case", DECISIONS)
async def test_each_decision_of_access_control(
    make: Callable[..., Any], fake: FakeKafka, way: str, case: str
) -> None:
    """Rejections never reach Kafka, are counted by reason, and can be read by pages."""
    rules, headers, fields, status, code = DECISIONS[case]
    api = await make(site(**rules))

    outcome = await post(api, way, {"Origin": "https://any.example"} | headers
                         if "origins" not in rules else headers, **fields)  # fmt: skip

    in_batch = {202: 202}.get(status, 400) if way == "batch" else status
    assert (outcome.status, outcome.code) == (in_batch, code)
    assert len(fake.stored) == (status == 202)
    if headers.get("Origin"):
        assert outcome.headers["access-control-allow-origin"] == headers["Origin"]
    if status != 202:
        rejected = counted(api, "headrace_api_events_rejected_total")
        assert rejected == {f'headrace_api_events_rejected_total{{reason="{code}"}}': 1}
        by_site = counted(api, "headrace_api_site_events_rejected_total")
        assert len(by_site) == (code != "unknown_site")


@ways
async def test_open_sites_accept_any_id_but_keep_the_rules_of_registered_ones(
    make: Callable[..., Any], way: str
) -> None:
    """A key of an unregistered site is wrong, too."""
    api = await make(site(origins=[SHOP]), sites="open")

    assert (await post(api, way, site_id="any")).code == "accepted"
    assert (await post(api, way, WITH_KEY, site_id="any")).code == "bad_key"
    assert (await post(api, way, {"Origin": "https://a.example"})).code == "origin_not_allowed"


@ways
@pytest.mark.parametrize(
    ("headers", "trust"),
    [({}, "open"), ({"Origin": SHOP}, "origin"), (WITH_KEY, "key"),
     ({**WITH_KEY, "Origin": SHOP}, "key")],
)  # fmt: skip
async def test_an_event_has_the_highest_trust_of_its_request(
    make: Callable[..., Any], fake: FakeKafka, way: str, headers: dict[str, str], trust: str
) -> None:
    """And only the id of an event with the site's highest trust is the one that was sent."""
    api = await make(site(origins=[SHOP], keys=[key()]))
    sent = str(uuid4())

    first = await post(api, way, headers, event_id=sent)
    again = await post(api, way, headers, event_id=sent.upper())

    stored = last_event(fake)
    assert stored.trust == trust
    assert dict(fake.stored[-1].headers)[EVENT_ID] == UUID(stored.event_id).bytes
    assert first.body["event_id"] == again.body["event_id"] == stored.event_id
    assert (stored.event_id == sent) == (trust == "key")
    ids = {(await post(api, way, other, event_id=sent)).body["event_id"]
           for other in ({}, {"Origin": SHOP}, WITH_KEY)}  # fmt: skip
    assert len(ids) == 3


@ways
async def test_a_change_of_a_site_applies_to_the_next_event(
    make: Callable[..., Any], way: str
) -> None:
    """A revoked key is wrong, a removed site unknown; undecodable records are skipped."""
    api = await make(site(keys=[key()]))
    assert (await post(api, way, WITH_KEY)).code == "accepted"

    api.sites.apply(b"shop", codec.encode(site()))
    assert (await post(api, way, WITH_KEY)).code == "bad_key"
    api.sites.apply(b"shop", b"\x00garbage")
    assert (await post(api, way)).code == "accepted"
    api.sites.apply(b"shop", None)
    assert (await post(api, way)).code == "unknown_site"


@ways
async def test_events_fail_until_the_sites_are_loaded(make: Callable[..., Any], way: str) -> None:
    """They are not rejected, so that clients send them again; the role is not ready."""
    api = await make(site())
    api.sites.is_loaded = False

    outcome = await post(api, way)

    assert (outcome.status, outcome.code) == (500, "not_accepted")
    assert api.operations.checks[0]() == "The registered sites are being read from Kafka"
    api.sites.is_loaded = True
    assert (await post(api, way)).code == "accepted"


@ways
async def test_a_client_address_has_a_rate_limit(
    make: Callable[..., Any], clock: Clock, way: str
) -> None:
    """50 events per second and 500 at once; others, and requests with a key, are not affected."""
    api = await make(site(keys=[key()]))
    flood = {"X-Forwarded-For": "10.1.1.1, 8.8.8.8"}
    sender = api.intake.clients.read({}, [], "8.8.8.8")
    for _ in range(500):
        api.access.authorize("shop", "pageview", None, sender)

    outcome = await post(api, way, flood)

    assert (outcome.status, outcome.code) == (400 if way == "batch" else 429, "rate_limited")
    assert outcome.headers["retry-after"] == str(outcome.body["retry_after"]) == "1"
    assert (await post(api, way, {"X-Forwarded-For": "8.8.4.4"})).code == "accepted"
    assert (await post(api, way, {**flood, **WITH_KEY})).code == "accepted"
    assert (await post(api, way, {"X-Forwarded-For": "10.1.1.1"})).code == "accepted"
    clock.now += 0.02
    assert (await post(api, way, flood)).code == "accepted"
    assert (await post(api, way, flood)).code == "rate_limited"


@ways
async def test_the_limit_of_a_site_applies_to_all_clients(
    make: Callable[..., Any], clock: Clock, way: str
) -> None:
    """Ten seconds of its rate at once, with or without a key; other sites are not affected."""
    api = await make(site(keys=[key()], events_per_second=1), site("blog"))
    codes = [(await post(api, way, WITH_KEY if n % 2 else {})).code for n in range(11)]
    limited = await post(api, way)

    assert codes == ["accepted"] * 10 + ["rate_limited"]
    assert (limited.code, limited.headers["retry-after"]) == ("rate_limited", "1")
    assert (await post(api, way, site_id="blog")).code == "accepted"
    # A change of another rule grants no second burst.
    api.sites.apply(b"shop", codec.encode(site(events_per_second=1, counts_bots=True)))
    assert (await post(api, way)).code == "rate_limited"
    clock.now += 1
    assert (await post(api, way)).code == "accepted"


async def test_a_batch_is_limited_event_by_event(make: Callable[..., Any]) -> None:
    """The events within the limit are accepted, the others rejected with the time to wait."""
    api = await make(site(events_per_second=1))
    event = {"type": "copy", "site_id": "shop", "session_id": "s"}
    client = api.intake.clients.read({}, [], "127.0.0.1")

    results = await api.intake.send_batch([json.dumps(event).encode()] * 12, client)

    assert (results.status, results.retry_after) == (207, 1)
    outcomes = [one.get("code", one["status"]) for one in results.body["results"]]
    assert outcomes == ["accepted"] * 10 + ["rate_limited"] * 2


async def test_floods_leave_nothing_behind(make: Callable[..., Any], fake: FakeKafka) -> None:
    """Neither records, nor labels of metrics, nor more than the limit of token buckets."""
    api = await make(site(origins=[SHOP], keys=[key()]))
    before = len(generate_latest(api.operations.registry).splitlines())
    addresses = [f"8.{n >> 16}.{n >> 8 & 255}.{n & 255}" for n in range(20_000)]
    for number, address in enumerate(addresses):
        client = api.intake.clients.read({}, [], address)
        wrong = api.intake.clients.read({b"authorization": b"Bearer hrk_%d" % number}, [], address)
        for site_id, sender in ((f"site-{number}", client), ("shop", wrong)):
            with pytest.raises(Exception, match=r"unknown_site|bad_key"):
                api.access.authorize(site_id, "pageview", None, sender)
        api.access.authorize("shop", "pageview", None, client)

    assert not fake.stored
    assert len(api.access.clients) == MAX_BUCKETS
    after = generate_latest(api.operations.registry).splitlines()
    assert len(after) - before <= 1
    assert (await post(api, "fast", WITH_KEY)).code == "accepted"


@ways
@pytest.mark.parametrize(("field", "kind"), [("visitor_id", "visitor"), ("user_id", "user")])
async def test_events_of_erased_persons_are_rejected(
    make: Callable[..., Any], fake: FakeKafka, way: str, field: str, kind: str
) -> None:
    """Of that site, until the block is removed; undecodable records are skipped."""
    api = await make(site(), site("other"))
    blocked = BlockedId(site_id="shop", hash=hash_of("shop", kind, "v-1"), created_at=NOW)
    api.blocked_ids.apply(key_of("shop", blocked.hash).encode(), codec.encode(blocked))
    api.blocked_ids.apply(b"shop:x", b"\x00garbage")

    outcome = await post(api, way, None, **{field: "v-1"})

    assert (outcome.status, outcome.code) == (400 if way == "batch" else 403, "erased")
    assert outcome.body["field"] == field
    assert fake.stored == []
    for others in ({field: "v-2"}, {field: "v-1", "site_id": "other"}):
        assert (await post(api, way, None, **others)).code == "accepted"
    api.blocked_ids.apply(key_of("shop", blocked.hash).encode(), None)
    assert (await post(api, way, None, **{field: "v-1"})).code == "accepted"
