"""Events read by the compiled reader, with and without the derivation of fields."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from uuid import UUID

from benchmarks.events import bodies
from benchmarks.measure import Candidate, Workload, function_candidate
from producer_api.events.client import NO_CLIENT, Client
from producer_api.events.derive.lookups import Lookups, load
from producer_api.events.derive.salts import DAY_US, Salts, day_name
from producer_api.events.derive.steps import derive
from producer_api.events.derive.visitors import Visitors
from producer_api.events.draft import EventContext
from producer_api.events.fast_parse import read_fast
from producer_api.events.import_sites import ImportSites

TITLE = "Deriving fields of events"
_EVENTS = 20_000
_NOW = 1_775_046_600_000_000
_CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/{}.0.0.0 Safari/537.36"
)
_HOURS_US = 3_600_000_000


def _lookups() -> Lookups:
    """Return lookups with empty caches, and the salt of the day."""
    salts = Salts(lambda: _NOW)
    day = _NOW // DAY_US
    salts.apply(day_name(day).encode(), salts.candidate(day))
    visitors = Visitors(salts, lambda: _NOW, _HOURS_US // 2)
    return load(visitors, masks_emails=True, database="")


def _context(lookups: Lookups | None) -> EventContext:
    ids = (str(UUID(int=(0x7 << 76) | n << 80)) for n in count(1))
    sites = ImportSites((), lambda: _NOW)
    context = EventContext(lambda: _NOW, lambda: next(ids), sites)
    if lookups is None:
        return context
    return EventContext(context.now, context.new_id, sites, derive=partial(derive, lookups))


def _client(number: int) -> Client:
    return Client(
        address=f"81.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
        user_agent=_CHROME.format(number),
        language="de-AT,de;q=0.9",
    )


def _reading(name: str, context: EventContext, requests: list[tuple[bytes, Client]]) -> Candidate:
    return function_candidate(
        name, lambda request: read_fast(request[0], context, request[1]), requests
    )


@asynccontextmanager
async def workloads() -> AsyncIterator[list[Workload]]:
    """Yield the workloads of this benchmark."""
    sample = bodies(_EVENTS)
    # URLs, user agents and addresses of a page that nobody has opened before.
    fresh = [
        body.replace(
            b'"type"',
            b'"referrer":"https://site-%d.example/","url":'
            b'"https://shop.example/%d?utm_source=news&utm_medium=email","type"' % (n, n),
            1,
        )
        for n, body in enumerate([b'{"type":"pageview","site_id":"a","session_id":"s"}'] * _EVENTS)
    ]
    plain = [(body, NO_CLIENT) for body in sample]
    with_client = [(body, _client(n % 1_000)) for n, body in enumerate(sample)]
    cold = [(body, _client(n)) for n, body in enumerate(fresh)]
    yield [
        Workload(
            "Read an event natively",
            [
                _reading("without derivation", _context(None), plain),
                _reading("derived, without headers", _context(_lookups()), plain),
                _reading("derived, warm caches", _context(_lookups()), with_client),
            ],
        ),
        Workload(
            "Read an event with texts that no cache has",
            [
                _reading("without derivation", _context(None), cold),
                _reading("derived, cold caches", _context(_lookups()), cold),
            ],
        ),
    ]
