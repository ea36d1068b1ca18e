"""PostHog: `posthog-js`, `posthog-node`, `posthog` for Python, and its capture API.

A body is JSON, JSON that gzip-js compressed without a header, or a form with base64 in `data`. It
is one event, a list of them, or `{"api_key", "batch": [...]}`. Sources: https://posthog.com/docs/api
/capture, the published clients and the recorded requests.

Only the status 200 counts as success. The configuration that browsers request enables what needs
no program of PostHog's servers: autocapture, but neither session recordings, nor surveys, nor
heatmaps. Recordings, logs and metrics that are sent all the same are accepted and not stored.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from producer_api.events.dialects import posthog_v1
from producer_api.events.dialects.decoding import (
    batch_of,
    form,
    json_of,
    json_or_base64,
    member_names,
    unpacked,
)
from producer_api.events.dialects.members import as_object
from producer_api.events.dialects.model import (
    Dialect,
    Endpoint,
    Event,
    Outcome,
    Reply,
    accepted_or_error,
    json_reply,
    no_events,
    script_error,
)
from producer_api.events.dialects.posthog_events import events_of
from producer_api.events.dialects.values import MILLISECOND, iso_time
from producer_api.events.request import Request

_OK = json_reply({"status": 1})
#: What the site configures in PostHog, of which there is nothing: a list with a name.
_LISTS = {
    "/api/surveys": "surveys",
    "/api/early_access_features": "earlyAccessFeatures",
    "/api/product_tours": "product_tours",
    "/api/web_experiments": "experiments",
}
_NO_SCRIPT = (
    "headrace does not serve PostHog's programs. Install the package posthog-js, or "
    "serve a copy of this file at this path"
)
_CONFIG = {
    "supportedCompression": ["gzip", "gzip-js"],
    "hasFeatureFlags": False,
    "analytics": {"endpoint": "/i/v0/e/"},
    "elementsChainAsString": True,
    "autocapture_opt_out": False,
    "autocaptureExceptions": False,
    "capturePerformance": False,
    "captureDeadClicks": False,
    "heatmaps": False,
    "sessionRecording": False,
    "productTours": False,
    "conversations": False,
    "defaultIdentifiedOnly": True,
    "siteApps": [],
}
_FLAGS = {
    "flags": {},
    "featureFlags": {},
    "featureFlagPayloads": {},
    "errorsWhileComputingFlags": False,
    "config": {"enable_collect_everything": True},
    **_CONFIG,
}


def translate(request: Request) -> list[Event]:
    """Return the events of a request; raises `Rejected`."""
    body = _body(request)
    batch = as_object(body) if not isinstance(body, list) else {"batch": body}
    site_id = _project(batch) or _project(request.parameters)
    sent = batch_of(batch.get("batch")) if "batch" in batch else [batch]
    sent_at = batch.pop("sent_at", None) or batch.pop("sentAt", None) or _query_time(request)
    if batch.get("historical_migration"):
        sent_at = None  # the events are old, and their times exact
    return [event for one in sent for event in events_of(one, site_id, sent_at)]


def _project(members: Mapping[str, Any]) -> Any:
    return members.get("api_key") or members.get("token")


def _body(request: Request) -> Any:
    body = unpacked(request.body)
    if body.lstrip()[:1] in (b"{", b"["):
        return json_of(body)
    data = form(request).get("data")
    return json_or_base64(body.decode(errors="replace") if data is None else data)


def _query_time(request: Request) -> Any:
    """Return the time of sending in the query, which is in milliseconds."""
    sent_at = request.parameters.get("_")
    return sent_at and iso_time(sent_at, MILLISECOND)


def is_posthog_batch(request: Request) -> bool:
    """Return True if a request to `/batch` is not one of Amplitude."""
    return "events" not in member_names(request.body)


def respond(_: Request, outcome: Outcome) -> Reply:
    """Return the response of the capture API."""
    return accepted_or_error(outcome, _OK)


def respond_config(request: Request, _: Outcome) -> Reply:
    """Return the configuration of a project."""
    return json_reply({"token": _token(request), **_CONFIG})


def respond_config_script(request: Request, _: Outcome) -> Reply:
    """Return the configuration of a project as a script."""
    token = msgspec.json.encode(_token(request))
    config = msgspec.json.encode({"config": _CONFIG, "siteApps": []})
    script = b"(window._POSTHOG_REMOTE_CONFIG=window._POSTHOG_REMOTE_CONFIG||{})[%s]=%s;"
    return Reply(200, script % (token, config), "application/javascript")


def _token(request: Request) -> str:
    return request.path.split("/")[2]


def respond_flags(_: Request, __: Outcome) -> Reply:
    """Return no feature flags, of both versions of the API."""
    return json_reply(_FLAGS)


def respond_definitions(_: Request, __: Outcome) -> Reply:
    """Return no definitions of feature flags, which servers request to evaluate them."""
    return json_reply({"flags": [], "group_type_mapping": {}, "cohorts": {}})


def respond_unstored(_: Request, __: Outcome) -> Reply:
    """Return that a part of a session recording, logs or metrics were accepted."""
    return _OK


def respond_list(request: Request, _: Outcome) -> Reply:
    """Return an empty list of what a site configures in PostHog."""
    return json_reply({_LISTS[request.path]: []})


def respond_script(_: Request, __: Outcome) -> Reply:
    """Return the error that this program is not served."""
    return script_error(_NO_SCRIPT)


def is_of_posthog(request: Request) -> bool:
    """Return True if a request for feature flags is not one of Mixpanel."""
    return request.parameters.keys().isdisjoint(("mp_lib", "lib"))


_EVENTS = ("/e", "/i/v0/e", "/capture", "/i/v0/ai/batch")
_UNSTORED = ("/s", "/i/v0/s", "/i/v1/logs", "/i/v1/metrics")
_SCRIPTS = ("/static/{name}", "/static/{version}/{name}")
_DEFINITIONS = ("/flags/definitions", "/api/feature_flag/local_evaluation")
_BOTH = ("GET", "POST")

POSTHOG = Dialect(
    "posthog",
    "PostHog",
    (
        *(Endpoint(path, translate, respond, _BOTH) for path in _EVENTS),
        Endpoint("/batch", translate, respond, matches=is_posthog_batch),
        Endpoint("/i/v1/analytics/events", posthog_v1.translate, posthog_v1.respond),
        *(Endpoint(path, no_events, respond_unstored) for path in _UNSTORED),
        *(
            Endpoint(path, no_events, respond_flags, _BOTH, is_of_posthog)
            for path in ("/flags", "/decide")
        ),
        *(Endpoint(path, no_events, respond_list, ("GET",)) for path in _LISTS),
        *(Endpoint(path, no_events, respond_script, ("GET",)) for path in _SCRIPTS),
        *(Endpoint(path, no_events, respond_definitions, ("GET",)) for path in _DEFINITIONS),
        Endpoint("/array/{key}/config", no_events, respond_config, ("GET",)),
        Endpoint("/array/{key}/config.js", no_events, respond_config_script, ("GET",)),
    ),
)
