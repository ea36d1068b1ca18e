"""Matomo, formerly Piwik: `matomo.js`, its SDKs and the Tracking HTTP API.

Sources of the parameters: https://developer.matomo.org/api-reference/tracking-api, the published
`matomo.js`, and the recorded requests. `matomo.js` counts the views that the site's code reports:
none for a page that the browser restores (bfcache), for the hash, or for `history.back()`.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from producer_api.events.dialects.decoding import batch_of, form, json_object, unpacked
from producer_api.events.dialects.matomo_actions import Parameters, event_of
from producer_api.events.dialects.model import (
    AGE,
    PIXEL,
    Dialect,
    Endpoint,
    Event,
    Outcome,
    Reply,
    accepted_or_error,
    json_reply,
)
from producer_api.events.fields import to_json_text
from producer_api.events.request import Request, parameters_of
from schemas.site_keys import KEY_PREFIX

_NO_CONTENT = Reply(204)
#: What differs between two attempts to send a request.
_OF_AN_ATTEMPT = frozenset({"send_image", "cdo"})
#: What the performance of a page has in common with the event of its request.
_OF_A_PAGE = (
    *("site_id", "visitor_id", "user_id", "url", "title", "user_agent", "ip"),
    *("timestamp", AGE),
)
_MILLISECONDS = re.compile(r"[0-9]{1,7}")


def translate(request: Request) -> list[Event]:
    """Return the events of a request, or of the requests in a bulk request."""
    return [event for parameters in _requests(request) for event in _events(parameters)]


def _events(parameters: Parameters) -> list[Event]:
    """Return the event of a request, and the performance of the page if the request reports it."""
    event = event_of(dict(parameters))
    if (event_id := _event_id(parameters)) is not None:
        event["event_id"] = event_id
    return [event, *_performance(parameters, event)]


def _requests(request: Request) -> Iterator[Parameters]:
    """Yield the parameters of each request, with the site key as `idsite` if there is one."""
    bulk = _json_body(request)
    if bulk is None:
        parameters = form(request)
        if parameters:
            yield _with_site(parameters, {})
        return
    common = {**request.parameters, **bulk}
    if "requests" not in common:
        yield _with_site(_texts(common), {})
        return
    for one in batch_of(common["requests"] or []):
        yield _with_site(_parameters(one), common)


def _json_body(request: Request) -> dict[str, Any] | None:
    """Return the body if it is JSON, whatever its content type says: `matomo.js` sends none."""
    body = unpacked(request.body)
    return json_object(body) if body.lstrip()[:1] in (b"{", b"[") else None


def _parameters(one: Any) -> Parameters:
    """Return the parameters of a request in a bulk request: a URL, a query, or an object."""
    if isinstance(one, dict):
        return _texts(one)
    (_, mark, query) = str(one).partition("?")
    return parameters_of(query if mark else str(one))


def _texts(members: Mapping[str, Any]) -> Parameters:
    return {
        name: value if isinstance(value, str) else to_json_text(value)
        for name, value in members.items()
        if value is not None
    }


def _with_site(parameters: Parameters, common: Mapping[str, Any]) -> Parameters:
    """Replace the site by a site key in `token_auth`; other tokens are secrets of a Matomo."""
    tokens = (parameters.pop("token_auth", ""), str(common.get("token_auth", "")))
    key = next((token for token in tokens if token.startswith(KEY_PREFIX)), None)
    return {**parameters, "idsite": key} if key else parameters


def _event_id(parameters: Parameters) -> str | None:
    """Return the request without what differs between attempts, if it has its random number."""
    if not (parameters.get("r") or parameters.get("rand")):
        return None
    return to_json_text(
        sorted(item for item in parameters.items() if item[0] not in _OF_AN_ATTEMPT)
    )


def _performance(parameters: Parameters, event: Event) -> list[Event]:
    """Return the time to the first byte: connecting, and waiting for the response.

    It lacks redirects, which Matomo does not report. `matomo.js` repeats the timings of a
    navigation until all are complete; the id makes them count once.
    """
    times = [parameters.get(name, "") for name in ("pf_net", "pf_srv")]
    if not all(map(_MILLISECONDS.fullmatch, times)):
        return []
    vitals = {name: event[name] for name in _OF_A_PAGE if name in event}
    vitals |= {"type": "web_vitals", "vitals": {"ttfb": sum(map(int, times))}}
    if visitor_id := event.get("visitor_id"):
        names = ("pf_net", "pf_srv", "pf_tfr", "pf_dm1")
        vitals["event_id"] = ":".join([visitor_id, *(parameters.get(name, "") for name in names)])
    return [vitals]


def respond(request: Request, outcome: Outcome) -> Reply:
    """Return the image, nothing if the client wants none, or the counts of a bulk request."""
    if not outcome.is_accepted:
        return accepted_or_error(outcome, _NO_CONTENT)
    bulk = _json_body(request)
    if str((bulk or form(request)).get("send_image")) == "0":
        return _NO_CONTENT
    if bulk is None:
        return PIXEL
    requests = bulk.get("requests")
    tracked = len(requests) if isinstance(requests, list) else 1
    return json_reply({"status": "success", "tracked": tracked, "invalid": 0})


_METHODS = ("GET", "POST")

MATOMO = Dialect(
    "matomo",
    "Matomo",
    (
        Endpoint("/matomo.php", translate, respond, _METHODS),
        Endpoint("/piwik.php", translate, respond, _METHODS),
    ),
)
