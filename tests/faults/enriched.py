"""An independent implementation of the fields that the server derives, for the tests' traffic.

Its clients are programs on this machine without a key: their events have no country and no derived
visitor, and are not of bots. Its words are no names of known sources.
"""

from functools import cache
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from ua_parser import parse

from tests.reference import Row

#: The sources of click ids, the first of them if there are several.
_CLICKS = {"gclid": ("Google", "Paid Search"), "fbclid": ("Facebook", "Organic Social")}
_UTM = ("source", "medium", "campaign", "term", "content")


def enriched(record: Row, header: str | None) -> Row:
    """Return a record with the fields that the server derives.

    `header` is the user agent of the request, used if the event carries none.
    """
    record = {**record, **_of_url(record)}
    if record["user_agent"] is None:
        record["user_agent"] = header
    return {
        **record,
        **_browser(record["user_agent"]),
        **_attribution(record),
        "is_bot": False,
        "country": None,
        "region": None,
        "trust": "open",
        "excluded": None,
    }


def _of_url(record: Row) -> Row:
    """Return the fields of a URL of the web that the event does not carry."""
    parts = urlsplit(record["url"] or "")
    if not parts.netloc:
        return {}
    query = dict(parse_qsl(parts.query))
    utm = {name: query[f"utm_{name}"] for name in _UTM if f"utm_{name}" in query}
    found = {
        "hostname": parts.hostname,
        "path": quote(parts.path or "/", safe="/%:@!$&'()*+,;=~[]|^\\")[:2_048],
        "utm": utm or None,
        "ad_click_ids": {name: query[name] for name in _CLICKS if name in query} or None,
    }
    return {name: value for name, value in found.items() if record[name] is None}


@cache
def _parsed(user_agent: str) -> Any:
    return parse(user_agent)


def _browser(user_agent: str | None) -> Row:
    if not user_agent:
        return dict.fromkeys(("browser", "browser_version", "os", "device"))
    found = _parsed(user_agent)
    return {
        "browser": found.user_agent and found.user_agent.family,
        "browser_version": found.user_agent and found.user_agent.major,
        "os": found.os and found.os.family,
        "device": "desktop" if "Linux" in user_agent else "other",
    }


def _attribution(record: Row) -> Row:
    """Return source and channel: of the campaign, else of the referrer, else of the click."""
    campaign = (record["utm"] or {}).get("source")
    referrer = urlsplit(record["referrer"] or "").hostname
    click = next((name for name in _CLICKS if name in (record["ad_click_ids"] or {})), None)
    if campaign or referrer:
        return {"source": campaign or referrer, "channel": "Referral"}
    if click is not None:
        return dict(zip(("source", "channel"), _CLICKS[click], strict=True))
    return {"source": None, "channel": "Direct"}
