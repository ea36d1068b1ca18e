"""What requests of Matomo's clients mean that the recorded sessions do not contain."""

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from producer_api.events.dialects.fitting import UNMAPPED
from producer_api.events.dialects.matomo import MATOMO, respond, translate
from producer_api.events.dialects.model import AGE, PIXEL, Event, Outcome
from producer_api.events.request import Request

_PAGE = {"idsite": "shop", "rec": "1", "url": "https://shop.example/pricing"}
_KEY = "hrk_0123456789"


def _get(**parameters: str) -> Request:
    return Request("GET", "/matomo.php", urlencode(parameters))


def _post(body: Any, query: str = "") -> Request:
    return Request("POST", "/matomo.php", query, body=json.dumps(body).encode())


def _event(**parameters: str) -> Event:
    return translate(_get(**_PAGE, **parameters))[0]


@pytest.mark.parametrize(
    ("parameters", "kind", "name"),
    [
        ({}, "pageview", None),
        ({"action_name": "Pricing"}, "pageview", None),
        ({"ping": "1"}, "pageleave", None),
        ({"ping": "0", "ca": "0"}, "pageview", None),
        ({"link": "https://other.example/"}, "external_link", None),
        ({"link": "https://other.example/", "c_n": "ad", "c_i": "click"}, "external_link", None),
        ({"download": "https://shop.example/a.pdf"}, "custom_event", "download"),
        ({"e_c": "app", "e_a": "signup", "action_name": "x"}, "custom_event", "signup"),
        ({"search": "shoes", "search_count": "0"}, "custom_event", "site_search"),
        ({"c_n": "ad", "c_p": "banner"}, "custom_event", "content_impression"),
        ({"c_n": "ad", "c_i": "click"}, "custom_event", "content_interaction"),
        ({"idgoal": "3"}, "custom_event", "goal"),
        ({"idgoal": "3", "revenue": "5"}, "payment", "goal"),
        ({"idgoal": "0", "ec_id": "o-1", "revenue": "29"}, "payment", "order"),
        ({"idgoal": "0", "revenue": "29"}, "custom_event", "cart_update"),
        ({"ma_id": "x", "ma_st": "10"}, "custom_event", "media"),
        ({"ca": "1", "fa_vid": "x"}, "custom_event", "custom_action"),
    ],
)
def test_the_parameters_say_what_the_visitor_did(
    parameters: dict[str, str], kind: str, name: str | None
) -> None:
    """The value of a cart is not revenue."""
    event = _event(**parameters)

    assert (event["type"], event.get("event_name")) == (kind, name)


def test_an_order_has_its_amount_and_its_details() -> None:
    """The currency is none of Matomo's parameters: a site appends it to the tracking URL."""
    event = _event(
        idgoal="0",
        ec_id="o-1",
        revenue="29.50",
        ec_tx="4",
        ec_items='[["sku","Pro","plans",29.5,1]]',
        currency="EUR",
    )

    assert (event["amount"], event["currency"]) == ("29.50", "EUR")
    assert event["properties"] == {
        "order_id": "o-1",
        "tax": 4,
        "items": [["sku", "Pro", "plans", 29.5, 1]],
    }


def test_a_crash_is_an_error_with_its_stack() -> None:
    """Of the plugin for crash analytics; `matomo.js` itself sends an event."""
    event = _event(cra="x is not defined", cra_tp="ReferenceError", cra_st="at f", cra_rl="7")

    assert (event["type"], event["error_name"]) == ("error", "ReferenceError")
    assert (event["error_message"], event["error_stack"]) == ("x is not defined", "at f")
    assert event["properties"] == {"line": 7}


@pytest.mark.parametrize(
    ("parameters", "properties"),
    [
        ({"cvar": '{"1":["plan","pro"]}'}, {"plan": "pro"}),
        ({"_cvar": '{"1":["plan"]}'}, {"_cvar": {"1": ["plan"]}}),
        ({"cvar": "{"}, {"cvar": "{"}),
        ({"dimension2": "red"}, {"dimension2": "red"}),
        ({"data": '{"a":1}'}, {"a": 1}),
        ({"data": "text"}, {"data": "text"}),
        ({"_pks": "sku", "_pkp": "9.9"}, {"product_sku": "sku", "product_price": 9.9}),
        ({"_pkc": '["a","b"]'}, {"product_category": ["a", "b"]}),
    ],
)
def test_what_the_site_says_is_in_the_properties(
    parameters: dict[str, str], properties: dict[str, Any]
) -> None:
    """Also if it is not what Matomo expects."""
    assert _event(**parameters)["properties"] == properties


@pytest.mark.parametrize(
    ("cdt", "timestamp"),
    [
        ("1769860800", "2026-01-31T12:00:00+00:00"),
        ("2026-01-31 12:00:00", "2026-01-31 12:00:00"),
        ("yesterday", "yesterday"),
        ("9" * 400, "9" * 400),
    ],
)
def test_the_time_is_that_of_the_client_or_none(cdt: str, timestamp: str) -> None:
    """`h`, `m` and `s` have no date and no zone."""
    event = _event(cdt=cdt, h="12", m="0", s="0")

    assert event["timestamp"] == timestamp
    assert "timestamp" not in _event(h="12", m="0", s="0")


def test_a_request_that_waited_offline_says_for_how_long() -> None:
    """In seconds."""
    event = _event(cdo="90")

    assert event[AGE] == 90_000
    assert _event(cdo="soon")[UNMAPPED]["cdo"] == "soon"


def test_a_forced_visitor_id_precedes_the_one_of_the_cookie() -> None:
    """`cid` is what a back end knows."""
    assert _event(_id="a" * 16)["visitor_id"] == "a" * 16
    assert _event(_id="a" * 16, cid="b" * 16)["visitor_id"] == "b" * 16


def test_campaign_parameters_of_matomo_are_utm_parameters() -> None:
    """Those of Piwik too; UTM parameters in the same URL win."""
    page = "https://shop.example/?mtm_campaign=spring&pk_kwd=shoes&mtm_medium=email"
    campaign = translate(_get(**{**_PAGE, "url": page}))[0]
    both = translate(_get(**{**_PAGE, "url": f"{page}&utm_source=x"}))[0]
    broken = translate(_get(**{**_PAGE, "url": "http://[x?mtm_campaign=spring"}))[0]

    assert campaign["utm"] == {"campaign": "spring", "term": "shoes", "medium": "email"}
    assert "utm" not in both
    assert "utm" not in broken


def test_a_retry_has_the_same_event_id() -> None:
    """It differs in whether it wants an image, and in how late it is."""
    first = _event(r="123456", send_image="0")
    again = _event(r="123456", send_image="1", cdo="60")
    other = _event(r="654321", send_image="0")

    assert first["event_id"] == again["event_id"] != other["event_id"]
    assert "event_id" not in _event()


def test_timings_are_counted_once_for_each_navigation() -> None:
    """`matomo.js` sends them again with the next request, more complete."""
    timings = {"_id": "a" * 16, "pf_net": "12", "pf_srv": "100", "pf_tfr": "3"}
    [_, vitals] = translate(_get(**_PAGE, **timings))
    [_, again] = translate(_get(**_PAGE, **timings, pf_onl="9", link="https://other.example/"))
    alone = translate(_get(**_PAGE, pf_srv="100"))

    assert (vitals["type"], vitals["vitals"]) == ("web_vitals", {"ttfb": 112})
    assert vitals["event_id"] == again["event_id"]
    assert [event["type"] for event in alone] == ["pageview"]


@pytest.mark.parametrize(
    "one",
    [
        "?idsite=shop&url=https%3A%2F%2Fshop.example%2F",
        "idsite=shop&url=https%3A%2F%2Fshop.example%2F",
        "https://matomo.example/matomo.php?idsite=shop&url=https%3A%2F%2Fshop.example%2F",
        {"idsite": "shop", "url": "https://shop.example/", "uid": None},
    ],
)
def test_a_bulk_request_has_queries_or_objects(one: Any) -> None:
    """One that is none of these is an event without a site, which is rejected alone."""
    [event, broken] = translate(_post({"requests": [one, 7]}))

    assert (event["site_id"], event["url"]) == ("shop", "https://shop.example/")
    assert "site_id" not in broken


@pytest.mark.parametrize(
    "request_",
    [
        _get(**_PAGE, token_auth=_KEY),
        _post({"requests": [_PAGE], "token_auth": _KEY}),
        _post({"requests": [{**_PAGE, "token_auth": _KEY}], "token_auth": "other"}),
        _post({"requests": [_PAGE]}, query=f"token_auth={_KEY}"),
    ],
)
def test_a_site_key_is_sent_as_the_token(request_: Request) -> None:
    """It vouches for the time and the address that a back end reports."""
    assert translate(request_)[0]["site_id"] == _KEY


def test_a_token_of_matomo_is_not_stored() -> None:
    """It is a password of another system."""
    sent = "0123456789abcdef"
    event = _event(token_auth=sent)

    assert event["site_id"] == "shop"
    assert sent not in json.dumps(event)


def test_an_urlencoded_body_precedes_the_query() -> None:
    """Of a POST, whose parameters may be in both."""
    body = urlencode({"url": "https://shop.example/b"}).encode()
    [event] = translate(Request("POST", "/matomo.php", urlencode(_PAGE), body=body))

    assert (event["site_id"], event["url"]) == ("shop", "https://shop.example/b")


def test_parameters_without_a_field_are_unmapped() -> None:
    """Nothing is dropped silently."""
    assert _event(res="unknown", pdf="1")[UNMAPPED] == {"rec": "1", "res": "unknown", "pdf": "1"}


@pytest.mark.parametrize(
    ("request_", "status", "body"),
    [
        (_get(**_PAGE), 200, PIXEL.body),
        (_get(**_PAGE, send_image="1"), 200, PIXEL.body),
        (_get(**_PAGE, send_image="0"), 204, b""),
        (_get(), 200, PIXEL.body),
        (_post({"requests": [_PAGE]}), 200, b'{"status":"success","tracked":1,"invalid":0}'),
        (_post({"requests": [_PAGE], "send_image": 0}), 204, b""),
    ],
)
def test_the_client_gets_what_it_asks_for(request_: Request, status: int, body: bytes) -> None:
    """An image, nothing, or the counts of a bulk request."""
    reply = respond(request_, Outcome(202, [{"status": "accepted"}]))

    assert (reply.status, reply.body) == (status, body)


def test_a_rejection_is_an_error_with_its_reason() -> None:
    """Also of a body that is no JSON."""
    rejected = Outcome(400, [{"status": "rejected", "error": "No", "code": "invalid_json"}])

    for request in (_get(**_PAGE), Request("POST", "/matomo.php", body=b"{")):
        reply = respond(request, rejected)
        assert (reply.status, reply.body) == (400, b'{"error":"No","code":"invalid_json"}')


def test_a_request_without_parameters_has_no_events() -> None:
    """Monitoring requests the path alone."""
    assert translate(_get()) == []
    assert translate(_post({"requests": None})) == []


def test_both_names_of_the_path_accept_both_methods() -> None:
    """Old pages have the old name."""
    assert {endpoint.path for endpoint in MATOMO.endpoints} == {"/matomo.php", "/piwik.php"}
    assert {endpoint.methods for endpoint in MATOMO.endpoints} == {("GET", "POST")}
