"""Events with extreme values, as request bodies, and the values expected in SQL."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any, NamedTuple

from hypothesis import strategies as st

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST, LAST = -62_135_596_800_000_000, 253_402_300_799_999_999
_HOUR_US = 3_600_000_000
SITE = "import"

#: Microseconds since 1970: both limits, the epoch, values beyond 2^53, and the ends of hours.
times = st.one_of(
    st.sampled_from(
        [
            *(FIRST, FIRST + 1, FIRST + _HOUR_US - 1, FIRST + _HOUR_US),
            *(LAST, LAST - 1, LAST - _HOUR_US, LAST - _HOUR_US + 1, LAST - 1_799_999_999),
            *(-1, 0, 1, -_HOUR_US, -_HOUR_US - 1, -999_999, 999_999),
            *(2**53 - 1, 2**53, 2**53 + 1, -(2**53), -(2**53) - 1, 2**57 + 1),
        ]
    ),
    st.integers(FIRST, LAST),
)

#: JSON tokens, because a float would change what a client wrote.
amounts = st.one_of(
    st.sampled_from(
        [
            *("0", "-0", "0.0", "-0.0", "0.1", "1e2", "49.90", '"12.50"', "1E-6", "-1e-6"),
            *("9223372036854775807.999999", '"-9223372036854775807.999999"', "0.000001"),
            *("12345678901234567.89", "1234567890123456789.012345", "0.30000000000000004"),
            *("1e-7", "5e-324", "1e18", "99999999999999.999999", '"000.10"', '"+5"', "-3.5e3"),
        ]
    ),
    st.integers(-(2**63) * 10**6 + 1, 2**63 * 10**6 - 1).map(
        lambda millionths: f"{Decimal(millionths).scaleb(-6):f}"
    ),
)
whole_numbers = st.sampled_from(
    [0, 1, -1, 2**31, -(2**31) - 1, 2**53 + 1, 2**63 - 1, -(2**63), 1_920]
)
durations = st.sampled_from([0, 1, 2**31, 2**53 + 1, 2**63 - 1, 21_600_000, 21_600_001]) | (
    st.integers(0, 2**63 - 1)
)
doubles = st.sampled_from(
    [0.0, -0.0, 5e-324, 2.2250738585072014e-308, 0.1, 1e15 + 0.3, -(2.0**63), 9.2e18, 1e-300]
) | st.floats(-(2.0**63), 9.2e18)
_texts = st.one_of(
    st.sampled_from(
        ["", "\0", "a\0b", "\ufffd", "\U0010ffff", "x" * 5_000, "ä" * 2_100, "\\u0000"]
    ),
    st.sampled_from(["'; DROP TABLE events; --", '"', "\\", "{}", "NULL", "null", "NaN", "\u2028"]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
)
#: JSON texts; integers beyond the precision of a double are kept.
_properties = st.sampled_from(
    [
        *('{"n":9007199254740993}', '{"n":123456789012345678901234567890}', '{"n":-0.0}'),
        *('{"n":1e308}', '{"n":5e-324}', '{"a":1,"a":2}', '{"":null}', '{"t":"\\u0000"}', "{}"),
        *('{"t":"\\ud83d\\ude00"}', '{"a":{"b":{"c":{"d":[[[]]]}}}}', '{"n":18446744073709551616}'),
    ]
)


class Edge(NamedTuple):
    """A request body, and the stored values that follow from it without the parser."""

    body: bytes
    event_ts: int
    amount: str | None
    fields: Mapping[str, Any]


@st.composite
def edges(draw: st.DrawFn, event_id: str) -> Edge:
    """Draw an event of an import site."""
    at, amount, properties = draw(times), draw(st.none() | amounts), draw(st.none() | _properties)
    kind = draw(st.sampled_from(["payment", "pageleave", "pageview", "error", "web_vitals"]))
    fields = {
        "type": kind,
        "site_id": SITE,
        "session_id": draw(st.sampled_from(["s", "S", "ß", "s 2"])),
        "event_id": event_id,
        "timestamp": text_of(at),
        "url": draw(st.none() | _texts),
        "path": draw(st.none() | _texts),
        "title": draw(st.none() | _texts),
        "error_message": draw(st.none() | _texts),
        "duration": draw(st.none() | durations),
        "currency": draw(st.sampled_from([None, "EUR", "jpy", "KWD", "XXX", "zzz"])),
        "screen": {"width": draw(whole_numbers), "pixel_ratio": draw(doubles)},
        "vitals": {"cls": draw(doubles), "lcp": draw(doubles)},
        "sent_at": draw(st.none() | times.map(text_of)),
    }
    body = json.dumps(fields)
    if amount is not None:
        body = f'{body[:-1]}, "amount": {amount}}}'
    if properties is not None:
        body = f'{body[:-1]}, "properties": {properties}}}'
    return Edge(body.encode(), at, amount, fields)


def text_of(micros: int) -> str:
    """Format a time as clients do."""
    return (EPOCH + timedelta(microseconds=micros)).isoformat().replace("+00:00", "Z")


def to_six_places(token: str) -> Decimal:
    """Return the stored amount of a JSON token."""
    with localcontext(prec=400):
        amount = Decimal(token.strip('"'))
        return amount.quantize(Decimal("0.000001"), ROUND_HALF_UP) + 0
