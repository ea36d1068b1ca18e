"""Encodings in which clients send JSON and forms."""

import base64
import gzip
from typing import Any

import pytest

from producer_api.events.dialects.decoding import (
    MAX_BYTES,
    batch_of,
    form,
    from_base64,
    json_object,
    json_of,
    json_or_base64,
    member_names,
    unpacked,
)
from producer_api.events.rejection import Rejected
from producer_api.events.request import Request

EMOJI = "\U0001f389"
JSON = '{"a":"é\U0001f389"}'


def test_gzip_is_recognized_without_a_header() -> None:
    """Other bytes are unchanged."""
    assert unpacked(gzip.compress(b"{}", mtime=0)) == b"{}"
    assert unpacked(b"{}") == b"{}"


@pytest.mark.parametrize(
    ("packed", "reason"),
    [
        (gzip.compress(b"{}", mtime=0)[:-1], "bad_gzip"),
        (b"\x1f\x8b?", "bad_gzip"),
        (gzip.compress(b" " * (MAX_BYTES + 1), mtime=0), "body_too_large"),
    ],
)
def test_gzip_that_is_broken_or_too_large_is_rejected(packed: bytes, reason: str) -> None:
    """Also if it is sent in a form."""
    with pytest.raises(Rejected, match=reason):
        unpacked(packed)
    with pytest.raises(Rejected, match=reason):
        form(Request("POST", "/", body=packed))


@pytest.mark.parametrize(
    ("query", "body", "parameters"),
    [
        ("a=1&b=", b"", {"a": "1", "b": ""}),
        ("a=1&c=3", b"a=2&b=%C3%A9+x", {"a": "2", "b": "é x", "c": "3"}),
        ("", gzip.compress(b"a=1", mtime=0), {"a": "1"}),
        ("a=%ff", b"b=\xff", {"a": "\ufffd", "b": "\ufffd"}),
        ("a", b"&&=", {"a": "", "": ""}),
    ],
)
def test_a_form_has_the_parameters_of_query_and_body(
    query: str, body: bytes, parameters: dict[str, str]
) -> None:
    """The body has priority; bytes that are no UTF-8 become U+FFFD."""
    assert form(Request("POST", "/", query, body=body)) == parameters


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (JSON.encode(), {"a": f"é{EMOJI}"}),
        ('"\ud83c\udf89"'.encode("utf-8", "surrogatepass"), EMOJI),
        (rb'"\ud83c\udf89"', EMOJI),
        (rb'"a\ud83cb"', "a\ufffdb"),
        (b'"a\xed\xa0\xbcb"', "a\ufffdb"),
        (b'"a\xffb"', "a\ufffdb"),
        (b'{"a":12345678901234567890123}', {"a": 12345678901234567890123}),
        (b"[" * 64 + b"]" * 64, None),
        (b"[" + b"{}," * 100 + b"1]", [*[{}] * 100, 1]),
    ],
)
def test_json_may_have_surrogates(data: bytes, value: Any) -> None:
    """Those of a pair are joined, others are U+FFFD; JavaScript sends both."""
    assert value is None or json_of(data) == value
    assert json_of(data) == json_of(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"a=1",
        b'{"a":1e400}',
        b"[" * 65 + b"]" * 65,
        b'{"a":' * 100_000,
        b"[" * 990 + b'"\xed\xa0\xbc"' + b"]" * 990,
    ],
)
def test_other_bytes_are_no_json(data: bytes) -> None:
    """Also JSON that is nested so deep that it could not be encoded again."""
    with pytest.raises(Rejected, match="invalid_json"):
        json_of(data)


@pytest.mark.parametrize("data", [b"[]", b"null", b'"a"', b"1", b"true"])
def test_an_object_is_no_other_value(data: bytes) -> None:
    """As for events of our own API."""
    with pytest.raises(Rejected, match="not_an_object"):
        json_object(data)


def coded(data: bytes) -> str:
    """Return standard base64."""
    return base64.b64encode(data).decode()


@pytest.mark.parametrize(
    "text",
    [
        JSON,
        f" {JSON}",
        coded(JSON.encode()),
        coded(JSON.encode()).rstrip("="),
        base64.urlsafe_b64encode(JSON.encode()).decode(),
        coded(gzip.compress(JSON.encode(), mtime=0)),
    ],
)
def test_json_may_be_base64(text: str) -> None:
    """Standard or URL-safe, with or without padding, also of gzip."""
    assert json_or_base64(text) == {"a": f"é{EMOJI}"}


def test_a_plus_sign_may_have_become_a_space() -> None:
    """As in a form that was not percent-encoded."""
    data = bytes(range(248, 256)) * 3
    assert "+" in coded(data)

    assert from_base64(coded(data).replace("+", " ")) == data


@pytest.mark.parametrize("text", ["a", "é", "{}*", "a=b=", "\ud800"])
def test_other_texts_are_no_base64(text: str) -> None:
    """The rejection says what was expected."""
    with pytest.raises(Rejected) as caught:
        from_base64(text)

    assert "base64" in caught.value.sentence()


@pytest.mark.parametrize("data", [b"[" + b"[]," * 60_000 + b"1]", b"[" + b"1," * 210_000 + b"1]"])
def test_json_with_more_values_than_clients_send_is_rejected(data: bytes) -> None:
    """Decoding and translating a million of them would take seconds."""
    with pytest.raises(Rejected) as rejected:
        json_of(data)
    assert "too many values" in rejected.value.sentence()


def test_a_form_with_more_parameters_than_clients_send_is_rejected() -> None:
    """Its size alone does not limit their number."""
    with pytest.raises(Rejected) as rejected:
        form(Request("POST", "/", body=b"a=b&" * 1000))
    assert rejected.value.reason.code == "body_too_large"


def test_a_batch_has_at_most_two_thousand_events() -> None:
    """Another value than a list is one event."""
    assert batch_of({}) == [{}]
    assert len(batch_of([1] * 2000)) == 2000
    with pytest.raises(Rejected) as rejected:
        batch_of([1] * 2001)
    assert rejected.value.sentence() == "A request has at most 2,000 events, not 2,001"


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_are_no_json_are_null(number: str) -> None:
    """Python writes them, and JavaScript null. In texts they are words."""
    data = b'{"a": [%s], "b": "NaN", "c": 12345678901234567890123}' % number.encode()

    assert json_of(data) == {"a": [None], "b": "NaN", "c": 12345678901234567890123}
    assert member_names(data) == {"a", "b", "c"}
    with pytest.raises(Rejected):
        json_of(b'{"a": NaN, "b": }')


def test_a_byte_order_mark_is_removed() -> None:
    """Also inside of gzip."""
    data = b"\xef\xbb\xbf{}"

    assert unpacked(data) == unpacked(gzip.compress(data)) == b"{}"
