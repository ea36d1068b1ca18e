"""Derives the fields of events with the real data, and salts of a clock that the test sets."""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from producer_api.events.client import OPEN_GRANT, Client, Grant, SitePolicy
from producer_api.events.derive import lookups
from producer_api.events.derive.lookups import Lookups
from producer_api.events.derive.salts import DAY_US, Salts, day_name
from producer_api.events.derive.steps import DERIVED, derive
from producer_api.events.derive.visitors import Visitors
from schemas.records import RawEvent
from tests.unit.producer_api.around import NOW, read

HOUR_US = 3_600_000_000
GAP_US = HOUR_US // 2
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/126.0.0.0 Safari/537.36"
)
#: A browser in the United States.
BROWSER = Client(address="8.8.8.8", user_agent=CHROME, language="de-AT,de;q=0.9,en;q=0.5")
KEY_GRANT = Grant("key", SitePolicy())


def salted(now: Callable[[], int], *days: int) -> Salts:
    """Return salts of the days before and after today, 0, given as differences."""
    salts = Salts(now)
    for difference in days:
        day = now() // DAY_US + difference
        salts.apply(day_name(day).encode(), salts.candidate(day))
    return salts


def lookups_of(
    salts: Salts, now: Callable[[], int] = lambda: NOW, *, masks_emails: bool = True
) -> Lookups:
    """Return lookups with these salts."""
    return lookups.load(Visitors(salts, now, GAP_US), masks_emails=masks_emails, database="")


LOOKUPS = lookups_of(salted(lambda: NOW, 0))


def derived(
    client: Client = BROWSER,
    grant: Grant = OPEN_GRANT,
    with_lookups: Lookups = LOOKUPS,
    **fields: Any,
) -> RawEvent:
    """Return the record of an event with the required fields and `fields`."""
    event = read(**fields)
    found = derive(with_lookups, event, client, grant)
    return replace(event, **{name: getattr(found, name) for name in DERIVED})
