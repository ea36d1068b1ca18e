"""Members of foreign events, whose types nobody has checked."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from producer_api.events.dialects.fitting import UNMAPPED
from producer_api.events.dialects.model import Event

#: Events of e-commerce with the revenue of an order that is not paid by them.
_UNPAID = frozenset({"checkout started", "order updated", "order refunded", "order cancelled"})


def as_object(value: Any) -> dict[str, Any]:
    """Return a copy of an object; another value becomes the member `value` of one."""
    if value is None:
        return {}
    return dict(value) if isinstance(value, dict) else {"value": value}


def as_list(value: Any) -> list[Any]:
    """Return a list; another value becomes its only item."""
    return value if isinstance(value, list) else [value]


def without_nulls(members: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members that are not null."""
    return {name: value for name, value in members.items() if value is not None}


def unmapped(*groups: Mapping[str, Any]) -> Event:
    """Return the event's member for what has no field, without nulls; none if there is nothing."""
    rest = {
        name: value for members in groups for name, value in members.items() if value is not None
    }
    return {UNMAPPED: rest} if rest else {}


def pop_fields(members: dict[str, Any], fields: Mapping[str, str]) -> Event:
    """Remove the members that `fields` names, and return them under the names of our fields.

    Of several members of a field, the first in `fields` counts. Nulls do not.
    """
    event: Event = {}
    for name in [name for name in fields if name in members]:
        if (value := members.pop(name)) is not None:
            event.setdefault(fields[name], value)
    return event


def pop_members(members: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Remove members, and return those that there were."""
    return {name: members.pop(name) for name in names if name in members}


def is_of_another_host(url: Any, page: Any) -> bool:
    """Return True if an absolute URL of the Web has another host than the page."""
    if not isinstance(url, str) or not url.lower().startswith(("http://", "https://")):
        return False
    try:
        return urlsplit(url).hostname != urlsplit(str(page)).hostname
    except ValueError:
        return False


def is_zero(amount: Any) -> bool:
    """Return True for a number that is 0, also as a text."""
    try:
        return float(amount) == 0
    except (TypeError, ValueError, OverflowError):
        return False


def payment_of(name: str, properties: Mapping[str, Any]) -> Event:
    """Return type, amount and currency of a payment; none if the event has no revenue.

    `revenue` is one, unless the name says that the order is not paid. `amount` is one if it has a
    currency, as it may also be a quantity.
    """
    currency = properties.get("currency")
    if name.lower().replace("_", " ") in _UNPAID:
        return {}
    for member in ("revenue", "$revenue", *(["amount"] if currency else [])):
        amount = properties.get(member)
        with suppress(TypeError, ValueError, OverflowError):
            if not isinstance(amount, bool) and float(amount or 0) > 0:
                return {"type": "payment", "amount": amount, "currency": currency}
    return {}
