"""GoatCounter: `count.js`, its tracking pixel, and `POST /api/v0/count` of back ends.

A hit has no id, but a random `rnd` against caches: a request that Chromium sends again has the same
one, so it counts once. The script sends one view for each page load, and more only if the site
calls it. It does not say which site it belongs to, because GoatCounter has a host for each: the
site is part of the path of the endpoint, else the host of the page without `www.`.

Source: https://www.goatcounter.com/api, https://www.goatcounter.com/help, recorded requests.
"""

import re
from typing import Any

from producer_api.events.dialects.decoding import batch_of, json_object, unpacked
from producer_api.events.dialects.fitting import UNMAPPED, hashed_id
from producer_api.events.dialects.model import (
    PIXEL,
    Dialect,
    Endpoint,
    Event,
    Outcome,
    Reply,
    accepted_or_error,
    json_reply,
)
from producer_api.events.dialects.pages import path_with_fragment
from producer_api.events.fields import to_json_text
from producer_api.events.rejection import Rejected, wrong_kind
from producer_api.events.request import Request
from schemas.reject_reasons import RejectReason
from schemas.site_keys import KEY_PREFIX
from schemas.urls import location_of

#: The members of a hit of a back end, by the parameters of the script.
_MEMBERS = {
    "p": "path",
    "t": "title",
    "e": "event",
    "r": "ref",
    "s": "size",
    "q": "query",
    "b": "bot",
}
_TRUE = frozenset({"true", "t", "yes", "y", "on", "1"})
_SCREEN = ("width", "height", "pixel_ratio")
_ORIGIN = re.compile(r"https?://[^\s/?#]+")
_COUNT = "/count"
_NO_SITE = "The request does not say which site it belongs to: send it to /count/SITE"
_NO_KEY = "The API token must be a site key, Authorization: Bearer hrk_..."
#: Headers of the request that name the page; a browser sends only one of them in full.
_PAGE_HEADERS = (b"origin", b"referer")


def translate_hit(request: Request) -> list[Event]:
    """Return the event of the parameters of a request."""
    parameters = dict(request.parameters)
    nonce = parameters.pop("rnd", "")
    hit = {_MEMBERS.get(name, name): value for name, value in parameters.items()}
    event = _event(hit, _origin(request), request.header(b"referer"))
    event["site_id"] = _site(request)
    if nonce:
        event["event_id"] = f"{request.header(b'user-agent')} {request.query}"
    return [event]


def translate_hits(request: Request) -> list[Event]:
    """Return the events of a back end, whose API token is a site key."""
    body = json_object(unpacked(request.body))
    hits = body.get("hits")
    if not isinstance(hits, list):
        raise wrong_kind("hits", "an array", hits)
    key = request.header(b"authorization").removeprefix("Bearer ").strip()
    if not key.startswith(KEY_PREFIX):
        raise Rejected(RejectReason.BAD_KEY, sentence=_NO_KEY)
    events = []
    for index, hit in enumerate(batch_of(hits)):
        if not isinstance(hit, dict):
            raise Rejected(RejectReason.NOT_AN_OBJECT, kind="another value")
        event = _event(dict(hit), "", "") | {"site_id": key}
        if body.get("no_sessions") is True and not hit.get("session"):
            # GoatCounter counts each of these hits as a separate visit.
            event["session_id"] = hashed_id(key, f"{index}:{to_json_text(hit)}")
        events.append(event)
    return events


def _event(hit: dict[str, Any], origin: str, referrer: str) -> Event:
    """Return the event of a hit, which is emptied; `origin` and `referrer` are of its request."""
    path = _text(hit.pop("path", None))
    query = _text(hit.pop("query", None)).removeprefix("?")
    event: Event = {
        "title": hit.pop("title", None),
        "referrer": hit.pop("ref", None),
        "session_id": hit.pop("session", None),
        "user_agent": hit.pop("user_agent", None) or None,
        "ip": hit.pop("ip", None) or None,
        "timestamp": hit.pop("created_at", None) or None,
    }
    if _text(hit.pop("event", None)).lower() in _TRUE:
        event |= {"type": "custom_event", "event_name": path.lstrip("/") or "(no event name)"}
        event |= _page_of_event(origin, referrer)
    else:
        url = _url(origin, path, query) if path else referrer
        event |= {"type": "pageview", "url": url, "path": path_with_fragment(url)}
    if query and query not in str(event.get("url")):
        hit["query"] = f"?{query}"  # in which e-mail addresses are masked
    if screen := _screen(hit.get("size")):
        event["screen"] = screen
        del hit["size"]
    if hit:
        event[UNMAPPED] = hit
    return event


def _url(origin: str, path: str, query: str) -> str:
    """Return the URL of a page. The path is the canonical one, perhaps without the query."""
    (path, hash_sign, fragment) = path.strip().lstrip("/").partition("#")
    if query and "?" not in path:
        path = f"{path}?{query}"
    return f"{origin}/{path}{hash_sign}{fragment}"


def _page_of_event(origin: str, referrer: str) -> Event:
    """Return the page of an event, whose path is its name: its URL if the browser sends it."""
    if location_of(referrer).path in (None, "/"):  # most browsers send the origin only
        return {"hostname": location_of(origin).host}
    return {"url": referrer}


def _screen(size: Any) -> dict[str, float]:
    """Return the screen of "width,height,scale" or an array of these; empty if it is none."""
    parts = size if isinstance(size, list) else _text(size).split(",")
    try:
        numbers = [float(part) for part in parts]
    except (TypeError, ValueError, OverflowError):
        return {}
    numbers = [int(number) if number.is_integer() else number for number in numbers]
    return dict(zip(_SCREEN, numbers, strict=False)) if len(numbers) <= len(_SCREEN) else {}


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else to_json_text(value)


def _origin(request: Request) -> str:
    """Return the origin of the page, as far as the browser says it."""
    found = (_ORIGIN.match(request.header(name)) for name in _PAGE_HEADERS)
    return next((match[0] for match in found if match), "")


def _site(request: Request) -> str:
    """Return the site in the path of the endpoint, else the host of the page."""
    named = request.path.removeprefix(_COUNT).strip("/")
    host = location_of(_origin(request)).host
    if not (site := named or (host or "").removeprefix("www.")):
        raise Rejected(RejectReason.MISSING_FIELDS, sentence=_NO_SITE, missing=["site_id"])
    return site


def respond_with_image(_: Request, outcome: Outcome) -> Reply:
    """Return the image that the script loads where there is no `sendBeacon`."""
    return accepted_or_error(outcome, PIXEL)


def respond_with_errors(_: Request, outcome: Outcome) -> Reply:
    """Return the errors by the index of their hit. The other hits are stored."""
    errors = {
        str(result["index"]): result["error"]
        for result in outcome.results
        if result["status"] != "accepted"
    }
    if errors:
        return json_reply({"errors": errors}, max(outcome.status, 400))
    if not outcome.results:
        return json_reply({"error": "no hits"}, 400)
    return json_reply({"status": "ok"}, 202)


GOATCOUNTER = Dialect(
    "goatcounter",
    "GoatCounter",
    (
        Endpoint(_COUNT, translate_hit, respond_with_image, methods=("GET", "POST")),
        Endpoint(f"{_COUNT}/{{site}}", translate_hit, respond_with_image, methods=("GET", "POST")),
        Endpoint("/api/v0/count", translate_hits, respond_with_errors),
    ),
)
