"""The steps of derivation, in order.

A step reads the event, the client and the grant, and sets attributes of the event that it does not
carry, or of `Derived`. The event is a `RawEvent`, or has its names of the fields of the API.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from producer_api.events.client import Client, Grant
from schemas.records import Trust


class Derived(msgspec.Struct, gc=False):
    """The fields of `RawEvent` that clients cannot send, in its order."""

    browser: str | None = None
    browser_version: str | None = None
    os: str | None = None
    device: str | None = None
    is_bot: bool = False
    country: str | None = None
    region: str | None = None
    source: str | None = None
    channel: str | None = None
    trust: Trust = "open"
    excluded: str | None = None


#: Changes an event and what is derived from it.
Step = Callable[[Any, Derived, Client, Grant], None]


def keep_trust(_event: Any, derived: Derived, _client: Client, grant: Grant) -> None:
    """Keep who vouches for the event."""
    derived.trust = grant.trust


STEPS: tuple[Step, ...] = (keep_trust,)


def derive(event: Any, client: Client, grant: Grant) -> Derived:
    """Fill the event's fields, and return those that it has no attributes for."""
    derived = Derived()
    for step in STEPS:
        step(event, derived, client, grant)
    return derived
