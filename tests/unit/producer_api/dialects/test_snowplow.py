"""What Snowplow's trackers send that the recorded sessions do not contain."""

import base64
import json
from typing import Any

import pytest

from producer_api.events.dialects.fitting import UNMAPPED
from producer_api.events.dialects.model import PIXEL, Event, Outcome
from producer_api.events.dialects.snowplow import (
    SNOWPLOW,
    is_payload,
    is_pixel,
    respond,
    translate,
)
from producer_api.events.request import Request

_SCHEMAS = "iglu:com.snowplowanalytics.snowplow"
_PAGE = "https://shop.example/pricing"


def _post(*rows: Any, query: str = "", headers: dict[bytes, bytes] | None = None) -> Request:
    body = {"schema": f"{_SCHEMAS}/payload_data/jsonschema/1-0-4", "data": list(rows)}
    return Request(
        "POST",
        "/com.snowplowanalytics.snowplow/tp2",
        query,
        headers or {},
        json.dumps(body).encode(),
    )


def _described(name: str, data: Any, vendor: str = _SCHEMAS) -> dict[str, Any]:
    return {"schema": f"{vendor}/{name}/jsonschema/1-0-0", "data": data}


def _events(entities: Any = (), **row: Any) -> list[Event]:
    contexts = {"co": json.dumps({"data": list(entities)})} if entities else {}
    return translate(_post({"aid": "shop", "url": _PAGE, **contexts, **row}))


def _event(entities: Any = (), **row: Any) -> Event:
    return _events(entities, **row)[0]


def _self_describing(name: str, data: Any, entities: Any = (), vendor: str = _SCHEMAS) -> Event:
    document = json.dumps({"data": _described(name, data, vendor)})
    return _event(entities, e="ue", ue_pr=document)


@pytest.mark.parametrize(
    ("row", "kind", "name"),
    [
        ({"e": "pv"}, "pageview", None),
        ({"e": "pp"}, "pageleave", None),
        ({"e": "se", "se_ca": "shop", "se_ac": "signup"}, "custom_event", "signup"),
        ({"e": "ti", "ti_sk": "sku"}, "custom_event", "transaction_item"),
        ({"e": "ad"}, "custom_event", "ad"),
        ({"e": "ue"}, "custom_event", ""),
        ({}, "custom_event", ""),
    ],
)
def test_the_event_parameter_is_the_type(row: dict[str, str], kind: str, name: str | None) -> None:
    """A page ping has no duration: it does not say how long the interval is."""
    event = _event(**row)

    assert (event["type"], event.get("event_name")) == (kind, name)
    assert "duration" not in event


def test_a_transaction_is_a_payment() -> None:
    """Of the commerce parameters of old trackers, in major units."""
    event = _event(e="tr", tr_id="o-1", tr_tt="29.5", tr_cu="EUR", tr_tx="4")

    assert (event["type"], event["amount"], event["currency"]) == ("payment", "29.5", "EUR")
    assert event["properties"] == {"order_id": "o-1", "tax": 4}


@pytest.mark.parametrize(
    ("name", "data", "entity", "vendor"),
    [
        (
            "snowplow_ecommerce_action",
            {"type": "transaction"},
            "transaction",
            f"{_SCHEMAS}.ecommerce",
        ),
        (
            "action",
            {"action": "purchase"},
            "actionFieldObject",
            "iglu:com.google.analytics.enhanced-ecommerce",
        ),
    ],
)
def test_the_order_of_a_commerce_plugin_is_a_payment(
    name: str, data: Any, entity: str, vendor: str
) -> None:
    """Its amount is in an entity."""
    order = _described(entity, {"revenue": 29.5, "currency": "EUR"}, vendor)
    event = _self_describing(name, data, [order], vendor)

    assert (event["type"], event["amount"], event["currency"]) == ("payment", 29.5, "EUR")
    assert event["properties"]["entities"] == {entity: order["data"]}


def test_a_refund_is_no_payment() -> None:
    """It is stored with its amount in the properties."""
    refund = _described("refund", {"refund_amount": 29.5}, f"{_SCHEMAS}.ecommerce")
    event = _self_describing("snowplow_ecommerce_action", {"type": "refund"}, [refund])

    assert (event["type"], event["event_name"]) == ("custom_event", "refund")


@pytest.mark.parametrize(
    ("name", "data", "kind", "event_name"),
    [
        ("link_click", {"targetUrl": "https://other.example/"}, "external_link", None),
        ("link_click", {"targetUrl": "https://shop.example/a.pdf"}, "custom_event", "link_click"),
        ("link_click", {"targetUrl": "mailto:ada@shop.example"}, "custom_event", "link_click"),
        ("link_click", {"targetUrl": "http://[x"}, "custom_event", "link_click"),
        ("link_click", {}, "custom_event", "link_click"),
        ("button_click", {"label": "Buy"}, "button_click", "Buy"),
        ("submit_form", {"formId": "f"}, "form_submit", "f"),
        ("focus_form", {"formId": "f"}, "custom_event", "focus_form"),
        ("screen_view", {"name": "Cart"}, "pageview", None),
        ("site_search", {"terms": ["a"]}, "custom_event", "site_search"),
    ],
)
def test_schemas_of_the_plugins_have_types(
    name: str, data: Any, kind: str, event_name: str | None
) -> None:
    """Only links to other hosts are external."""
    event = _self_describing(name, data)

    assert (event["type"], event.get("event_name")) == (kind, event_name)


def test_a_schema_of_the_site_is_a_custom_event() -> None:
    """Also if it has the name of one of Snowplow's."""
    event = _self_describing("action", {"action": "purchase"}, vendor="iglu:com.acme")

    assert (event["type"], event["event_name"]) == ("custom_event", "action")
    assert event["properties"] == {"action": "purchase"}
    assert event[UNMAPPED]["schema"] == "iglu:com.acme/action/jsonschema/1-0-0"


def test_an_error_has_its_stack() -> None:
    """Apps send the name of an exception too."""
    event = _self_describing(
        "application_error",
        {"message": "x", "stackTrace": "at f", "exceptionName": "E", "lineNumber": 1},
    )

    assert (event["error_name"], event["error_message"], event["error_stack"]) == ("E", "x", "at f")
    assert event["properties"] == {"lineNumber": 1}


def test_web_vitals_are_numbers() -> None:
    """Others remain properties."""
    event = _self_describing("web_vitals", {"lcp": 1.5, "cls": None, "navigationType": "navigate"})

    assert (event["type"], event["vitals"]) == ("web_vitals", {"lcp": 1.5})
    assert event["properties"] == {"cls": None, "navigationType": "navigate"}


@pytest.mark.parametrize(
    "timing",
    [
        _described("PerformanceTiming", {"navigationStart": 1_000, "responseStart": 1_112}),
        _described("PerformanceNavigationTiming", {"fetchStart": 2, "responseStart": 112}),
        _described("PerformanceNavigationTiming", {"activationStart": 20, "responseStart": 132}),
    ],
)
def test_the_timings_of_a_view_are_counted_once(timing: Any) -> None:
    """Each view of a single-page application repeats them, and so does each other event."""
    [_, vitals] = _events([timing], e="pv", duid="v", eid="1")
    [_, again] = _events([timing], e="pv", duid="v", eid="2", url=f"{_PAGE}/next")
    other = _events([timing], e="se", se_ac="x", duid="v")

    assert (vitals["type"], vitals["vitals"]) == ("web_vitals", {"ttfb": 112})
    assert vitals["event_id"] == again["event_id"]
    assert [event["type"] for event in other] == ["custom_event"]


def test_a_document_is_plain_or_base64() -> None:
    """One that cannot be read is kept."""
    document = json.dumps({"data": _described("signup", {"plan": "naïve"}, "iglu:com.acme")})
    encoded = base64.urlsafe_b64encode(document.encode()).decode().rstrip("=")

    assert _event(e="ue", ue_px=encoded)["properties"] == {"plan": "naïve"}
    assert _event(e="ue", ue_px="%")[UNMAPPED]["ue_px"] == "%"
    assert _event(e="ue", ue_pr="[1]")[UNMAPPED]["ue_pr"] == "[1]"


def test_apps_have_the_ids_of_their_session() -> None:
    """A tracker that may not identify visitors sends a UUID of zeros."""
    session = {"userId": "u1", "sessionId": "s1"}
    nobody = {"userId": "00000000-0000-0000-0000-000000000000", "sessionId": "s1"}

    app = _event([_described("client_session", session)], e="pv")
    anonymous = _event([_described("client_session", nobody)], e="pv")

    assert (app["visitor_id"], app["session_id"]) == ("u1", "s1")
    assert (anonymous.get("visitor_id"), anonymous["session_id"]) == (None, "s1")


def test_server_anonymisation_is_recorded() -> None:
    """The address of the client is never stored in any case."""
    [event] = translate(_post({"e": "pv", "aid": "shop"}, headers={b"sp-anonymous": b"*"}))

    assert event[UNMAPPED]["anonymous"] is True


def test_the_time_is_corrected_by_the_clock_at_sending() -> None:
    """The Python tracker cuts the fraction of the second at which it sends."""
    event = _event(e="pv", dtm="1769860800500", stm="1769860801000")
    cut = _event(e="pv", dtm="1769860800500", stm="1769860800000")

    assert event["timestamp"] == cut["timestamp"] == "2026-01-31T12:00:00.500000+00:00"
    assert event["sent_at"] == "2026-01-31T12:00:01+00:00"
    assert cut["sent_at"] == cut["timestamp"]


@pytest.mark.parametrize("huge", [10**400, "9" * 400])
def test_a_time_beyond_all_numbers_is_no_error(huge: Any) -> None:
    """It is kept as it is, and unmapped when the event is completed."""
    event = _event(e="pv", dtm=huge, stm="1795942704371")

    assert event["timestamp"] == huge


def test_a_true_timestamp_is_not_corrected() -> None:
    """The site knows it from elsewhere."""
    event = _event(e="pv", ttm="1769860800500", dtm="1", stm="2")

    assert event["timestamp"] == "2026-01-31T12:00:00.500000+00:00"
    assert "sent_at" not in event
    assert (event[UNMAPPED]["dtm"], event[UNMAPPED]["stm"]) == ("1", "2")


def test_a_row_that_is_no_object_is_rejected_alone() -> None:
    """Its neighbours are accepted."""
    [event, broken] = translate(_post({"e": "pv", "aid": "shop"}, 7))

    assert event["site_id"] == "shop"
    assert "site_id" not in broken


def test_parameters_in_the_query_of_a_batch_win() -> None:
    """Collectors do the same."""
    [event] = translate(_post({"e": "pv", "aid": "shop"}, query="aid=other"))

    assert event["site_id"] == "other"


def test_only_batches_are_accepted_at_other_paths() -> None:
    """The site may choose the path; Countly shares the one of the pixel."""
    json_body = Request("POST", "/com.acme/track", body=b'{"a":1}')
    no_body = Request("POST", "/com.acme/track")

    assert is_payload(_post())
    assert not is_payload(json_body)
    assert not is_payload(no_body)
    assert is_pixel(Request("GET", "/i", "e=pv&aid=shop"))
    assert not is_pixel(Request("GET", "/i", "app_key=k&events=[]"))
    assert not is_pixel(Request("GET", "/i", "e=1&app_key=k"))


def test_an_empty_batch_has_no_events() -> None:
    """And a request of the path alone, by monitoring."""
    assert translate(_post()) == []
    assert translate(Request("GET", "/com.snowplowanalytics.snowplow/tp2")) == []


def test_the_tracker_gets_an_image_or_json() -> None:
    """A rejection has a status after which no tracker sends again."""
    accepted = Outcome(202, [{"status": "accepted"}])
    rejected = Outcome(403, [{"status": "rejected", "error": "No", "code": "unknown_site"}])
    mixed = Outcome(207, [{"status": "accepted"}, *rejected.results])
    too_many = Outcome(413, rejected.results)

    assert respond(Request("GET", "/i", "e=pv"), accepted) == PIXEL
    assert respond(_post(), accepted).body == b'{"status":"ok"}'
    assert respond(_post(), rejected).status == 403
    assert respond(_post(), mixed).status == 400
    assert respond(_post(), too_many).status == 400


def test_endpoints() -> None:
    """The pixel, the batch, and the path that a site chooses."""
    assert [endpoint.path for endpoint in SNOWPLOW.endpoints] == [
        "/com.snowplowanalytics.snowplow/tp2",
        "/i",
        "/{tld}.{vendor}/{version}",
    ]


def test_the_items_of_an_order_are_of_its_user() -> None:
    """The tracker for Java sends their ids with the order only."""
    order = {"e": "tr", "aid": "shop", "tr_id": "o1", "uid": "u1", "ip": "203.0.113.7"}
    item = {"e": "ti", "aid": "shop", "ti_id": "o1", "ti_sku": "s1"}

    (_, own, _, other, *_) = translate(
        _post(order, item, 1, {**item, "ti_id": ["o2"]}, {**item, "uid": "u2"})
    )

    assert (own["user_id"], own["ip"]) == ("u1", "203.0.113.7")
    assert "user_id" not in other
    assert translate(_post(order, {**item, "uid": "u2"}))[1]["user_id"] == "u2"
