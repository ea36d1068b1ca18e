"""The lookups of derivation, with bounded caches."""

import re
from collections.abc import Callable
from functools import lru_cache, partial

from producer_api.events.derive import browsers, domains, sources
from producer_api.events.derive.browsers import Browser, read_user_agent
from producer_api.events.derive.channels import Attribution, attribute
from producer_api.events.derive.pages import Page, read_page
from producer_api.events.derive.places import NOWHERE, FindPlace, open_database
from producer_api.events.derive.visitors import Visitors
from schemas.urls import host_of

#: URLs have up to 2,048 characters, user agents and hosts up to 512.
_URLS = 4_096
_TEXTS = 10_000

_LANGUAGE = re.compile(r"\s*([A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*)\s*(?:[,;]|$)")


class Lookups:
    """Looks up the meaning of an event's texts and of the client's address."""

    __slots__ = ("attribution", "browser", "host", "language", "page", "place", "visitor_of")

    def __init__(
        self,
        visitors: Visitors,
        *,
        masks_emails: bool = True,
        find_place: FindPlace = lambda _: NOWHERE,
    ) -> None:
        self.visitor_of = visitors.id_of
        cached = lru_cache(_TEXTS)
        read = partial(read_page, masks_emails=masks_emails)
        self.page: Callable[[str], Page] = lru_cache(_URLS)(read)
        self.browser: Callable[[str], Browser] = cached(read_user_agent)
        self.host: Callable[[str], str | None] = cached(host_of)
        self.language: Callable[[str], str | None] = cached(first_language)
        self.place = find_place
        self.attribution: Callable[..., Attribution] = cached(attribute)


def first_language(header: str) -> str | None:
    """Return the first tag of `Accept-Language`, None if there is none."""
    match = _LANGUAGE.match(header)
    return None if match is None else match[1]


def load(visitors: Visitors, *, masks_emails: bool, database: str) -> Lookups:
    """Return the lookups; load all data now, so that the first event does not wait for it.

    Raises `SettingsError` if the geographical database cannot be read.
    """
    for data in (browsers.parser, browsers.patterns, domains.public_suffixes, sources.listed):
        data()
    return Lookups(visitors, masks_emails=masks_emails, find_place=open_database(database))
