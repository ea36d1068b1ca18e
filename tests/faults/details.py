"""Optional fields of random events: typical values, values at the limits, unknown fields."""

import random
from typing import Any

Event = dict[str, Any]

#: Texts that are often corrupted between the client and the table.
_TEXTS = (
    "Basket",
    "Grüße aus 東京 🛒",
    "'; DROP TABLE events; --",
    "tab\tnew line\r\nend",
    "NUL \0 in the middle",
    '%s {0} $1 \\ "quoted"',
    "",
)
_URLS = (
    "https://shop.example/basket?step=2#top",
    "https://www.shop.example",
    "http://shop.example:8080/a/b/",
    "https://shop.example/gr%C3%BC%C3%9Fe",
    "https://shop.example/grüße",
)
_STACKS = (
    "TypeError: x\n    at pay (https://shop.example/js/basket.js:10:7)\n    at run (https://shop.example/js/run.js:1:1)",
    "TypeError: x\n    at pay (https://cdn.example/js/basket.js:99:8)",
    "",
)
_LONG = "every word " * 400
#: Amounts; the last ones have more than six decimals.
_AMOUNTS = (
    "0",
    0.1,
    19.9,
    1000,
    "12345678901234567.89",
    "-3.5",
    "1e3",
    5e-7,
    "0.0000005",
    "2.71828182845",
)
_NUMBERS = (0, -1, 7, 2**53 + 1, 2**63 - 1, 0.5, -0.25, 1e300, 1.5e-9)


def common(choose: random.Random) -> Event:
    """Return random fields of any event type, some of them null."""
    fields: Event = {
        "url": choose.choice(_URLS),
        "hostname": choose.choice(["shop.example", "www.shop.example", "a" * 600]),
        "title": choose.choice([*_TEXTS, "t" * 1_024, "ü" * 1_025]),
        "language": choose.choice(["de", "en-GB", "", None]),
        "user_agent": choose.choice(["Mozilla/5.0 (X11; Linux x86_64)", "u" * 513, None]),
        "screen": _screen(choose),
        "utm": choose.choice([{}, None, {"source": "news", "term": "t" * 600, "extra": [1]}]),
        "ad_click_ids": choose.choice([{"gclid": "g-1", "fbclid": None}, {}, {"x": "y" * 513}]),
        "properties": _json(choose),
        "event_name": choose.choice([*_TEXTS, "e" * 513]),
        "provider": choose.choice(["stripe", "p\0p", None]),
        "user_id": choose.choice(["u-1", "", "ü" * 128, None]),
        **_unknown(choose),
    }
    return _some(choose, fields)


def of_type(choose: random.Random, kind: str) -> Event:
    """Return random fields of one event type."""
    if kind == "web_vitals":
        vitals = {"lcp": 2_500.5, "cls": 0, "inp": 8, "fid": -1.5, "ttfb": None, "new": 3}
        return {"vitals": _some(choose, vitals)}
    if kind == "error":
        fields: Event = {
            "error_stack": choose.choice([*_STACKS, "é" * 1_025, "a" + "é" * 1_024]),
            "error_message": choose.choice(["failed at 17", _LONG, "a \0 b", ""]),
        }
        return _some(choose, fields)
    if kind == "payment":
        currency = choose.choice(["EUR", "jpy", "KWD", None])
        return _some(choose, {"amount": choose.choice(_AMOUNTS), "currency": currency})
    if kind == "pageleave":
        return _some(choose, {"duration": choose.choice([0, 0.5, 1.49, 99, 2.5, 2**40])})
    return {}


def _screen(choose: random.Random) -> Event | None:
    sizes = {
        "width": choose.choice([1_280, 0, -1, 1_279.5, 2**63 - 1]),
        "height": choose.choice([800, 799.49, None]),
        "viewport_width": 640,
        "pixel_ratio": choose.choice([1, 1.5, 2.625]),
        "orientation": "landscape",
    }
    return choose.choice([_some(choose, sizes), {}, None])


def _json(choose: random.Random) -> Event:
    """Return properties with values of all types, nested ones, and nearly the maximum size."""
    values: Event = {
        "plan": choose.choice(_TEXTS),
        "n": choose.choice(_NUMBERS),
        "list": [1, None, True, {"a": [_TEXTS[1]]}],
        "NUL \0 name": "NUL \0 value",
        "deep": {"2": {"3": {"4": {"5": {"6": {"7": {}}}}}}},
        "large": "x" * choose.choice([10, 7_000]),
    }
    return _some(choose, values)


def _unknown(choose: random.Random) -> Event:
    """Return unknown fields; the largest are not stored."""
    return {
        "app_version": choose.choice(["1.2.3", None, 7, [1, {"b": "\0"}]]),
        "clicks": choose.choice(_NUMBERS),
        "blob": choose.choice(["small", "z" * 9_000]),
    }


def _some(choose: random.Random, fields: Event) -> Event:
    """Return a random selection of the fields, in random order."""
    count = choose.randint(0, len(fields))
    return {name: fields[name] for name in choose.sample(list(fields), count)}
