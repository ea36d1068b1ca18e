"""Country and region of an IP address, from an offline database."""

import re
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

from msgspec import Struct

from schemas.settings import PREFIX, SettingsError

_COUNTRY = re.compile(r"[A-Z]{2}")
#: What proxies report instead of a country: unknown, and Tor.
_NO_COUNTRIES = frozenset({"XX", "T1"})
#: IPv4 addresses in IPv6 sockets.
_MAPPED = "::ffff:"
#: A search in a database takes ten microseconds.
_ADDRESSES = 10_000


class Place(Struct, frozen=True, gc=False):
    """A country (ISO 3166-1 alpha-2), and a region in it (ISO 3166-2)."""

    country: str | None = None
    region: str | None = None


NOWHERE = Place()
FindPlace = Callable[[str], Place]


def country_code(text: str) -> str | None:
    """Return the country that a proxy reports; None if it is not an ISO 3166-1 code."""
    code = text.strip().upper()
    return code if _COUNTRY.fullmatch(code) and code not in _NO_COUNTRIES else None


def open_database(file: str) -> FindPlace:
    """Return the lookup in a MaxMind database; in the registries' allocations if `file` is empty.

    Raises `SettingsError` if the file is not a MaxMind database.
    """
    if not file:
        from iptocc import country_code  # noqa: PLC0415

        # Not cached by address: the search costs no more than a cache.
        place_in = cache(Place)
        return lambda address: place_in(country_code(address.removeprefix(_MAPPED)))
    from maxminddb import InvalidDatabaseError, open_database  # noqa: PLC0415

    try:
        reader = open_database(file)
    except (OSError, InvalidDatabaseError) as error:
        raise SettingsError(
            f"{PREFIX}API__GEO_DATABASE names {file}, which cannot be read as a MaxMind database: "
            f"{error}"
        ) from None
    return lru_cache(_ADDRESSES)(lambda address: _from_record(_get(reader, address)))


def _get(reader: Any, address: str) -> Any:
    try:
        return reader.get(address.removeprefix(_MAPPED))
    except ValueError:  # not an address, or of a version that the database does not have
        return None


def _from_record(record: Any) -> Place:
    """Return the place of a record in the form of GeoLite2 and DB-IP."""
    match record:
        case {"country": {"iso_code": str(country)}}:
            match record:
                case {"subdivisions": [{"iso_code": str(region)}, *_]}:
                    return Place(country, f"{country}-{region}")
            return Place(country)
    return NOWHERE
