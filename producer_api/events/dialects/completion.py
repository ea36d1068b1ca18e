"""Fills in what the API requires and clients of other systems do not send."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from ipaddress import ip_address
from typing import Any, Protocol

from msgspec.structs import replace

from producer_api.events.client import Client
from producer_api.events.dialects.fitting import event_uuid, hashed_id, with_ids
from producer_api.events.dialects.model import AGE, SITE_KEY, Event
from producer_api.events.dialects.values import MILLISECOND, iso_time
from producer_api.events.rejection import Rejected
from schemas.reject_reasons import RejectReason
from schemas.site_keys import KEY_PREFIX
from schemas.urls import location_of

#: Returns the visitor id of a site, a session, an address and a user agent; None without a salt.
VisitorOf = Callable[[str, str, str, str], str | None]

_SESSION_PREFIX = "s"
_NO_SITES = "The registered sites are being read from Kafka"
_NO_SALT = "The salts of session ids are being read from Kafka"


class SitesByKey(Protocol):
    """Finds the site of a key, once all sites are loaded."""

    is_loaded: bool

    def site_of(self, key: str) -> str | None:
        """Return the site id that a key belongs to; None if there is none."""


class Completion:
    """Replaces site keys by sites, and completes times, and ids of sessions and events.

    `now` returns microseconds since the epoch.
    """

    def __init__(self, sites: SitesByKey, visitor_of: VisitorOf, now: Callable[[], int]) -> None:
        self._sites = sites
        self._visitor_of = visitor_of
        self._now = now

    def complete(self, events: Sequence[Event], client: Client) -> tuple[list[Event], Client]:
        """Return the events with all ids, and the client without credentials of other systems.

        An event with a site key in place of its site has it as SITE_KEY, and an empty site if no
        site has the key. Raises `Rejected` if what completes an event is not loaded.
        """
        completed = []
        if client.key and not client.key.startswith(KEY_PREFIX):
            # A credential of the other system, such as the token of a login.
            client = replace(client, key="")
        for event in events:
            site_id = str(event.get("site_id") or "")
            if site_id.startswith(KEY_PREFIX):
                keyed = {**event, SITE_KEY: site_id}
                of_key = replace(client, key=site_id)
                completed.append(self._complete(keyed, self._site_of(site_id), of_key))
            else:
                completed.append(self._complete(event, site_id, client))
        return completed, client

    def _complete(self, event: Event, site_id: str, client: Client) -> Event:
        event = with_ids(event)
        event["site_id"] = site_id
        if not client.key:
            event.pop("ip", None)  # nobody vouches for it
        if "event_id" in event:
            event["event_id"] = event_uuid(site_id, event["event_id"])
        if AGE in event:
            event["timestamp"] = iso_time(self._now() / 1000 - event.pop(AGE), MILLISECOND)
        url = event.get("url")
        if client.origin and "hostname" not in event and (not url or str(url)[:1] == "/"):
            # Else a referrer of the site itself looks like another site.
            event |= _page_of(client.origin, url)
        if "session_id" not in event:
            known = event.get("visitor_id")
            if not client.origin:
                # In a browser, the user id would end the visit in which the visitor logs in.
                known = known or event.get("user_id")
            if known and not client.opts_out:
                # The inactivity gap separates the visits of one id. It is hashed, because it may
                # be a mail address, which belongs in no other field.
                event["session_id"] = hashed_id(site_id, known)
            else:
                event["session_id"] = self._session_of(site_id, event, client)
        return event

    def _site_of(self, key: str) -> str:
        site_id = self._sites.site_of(key)
        if site_id is None and not self._sites.is_loaded:
            raise Rejected(RejectReason.NOT_READY, why=_NO_SITES)
        return site_id or ""

    def _session_of(self, site_id: str, event: Event, client: Client) -> str:
        """Return the id of the visitor of today, as a session id."""
        address = _address(event.get("ip")) or client.address
        user_agent = str(event.get("user_agent") or client.user_agent)
        visitor_id = self._visitor_of(site_id, f"{address}\0{user_agent}", address, user_agent)
        if visitor_id is None:
            raise Rejected(RejectReason.NOT_READY, why=_NO_SALT)
        return _SESSION_PREFIX + visitor_id


def _page_of(origin: str, url: Any) -> Event:
    """Return the host of an event without a URL; of one with a path, the URL.

    The origin of a page without a host, such as a file, is `null`.
    """
    host = location_of(origin).host
    if not url or not host:
        return {"hostname": host}
    return {} if url.startswith("//") else {"url": f"{origin}{url}"}


def _address(value: Any) -> str:
    """Return an address that a back end reports; empty if it is none."""
    if value is None:
        return ""
    with suppress(ValueError):
        return str(ip_address(str(value).strip()))
    return ""
