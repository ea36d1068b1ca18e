"""Translated events become acceptable, and lose as little as possible."""

import json

from producer_api.events.dialects.fitting import UNMAPPED, fit
from producer_api.events.fields import MAX_JSON_BYTES


def test_the_largest_unmapped_members_are_cut() -> None:
    """The others are stored."""
    event = fit({"type": "error", UNMAPPED: {"frames": ["x" * 9000], "version": "1.2"}})

    unmapped = event[UNMAPPED]
    assert unmapped["version"] == "1.2"
    assert unmapped["frames"].startswith('["xxx')
    assert len(json.dumps(event)) < MAX_JSON_BYTES


def test_deeply_nested_unmapped_members_are_cut() -> None:
    """Without an error, however deep they are."""
    nested: list[object] = []
    for _ in range(900):
        nested = [nested]

    event = fit({UNMAPPED: {"nested": nested, "version": "1.2"}})

    assert isinstance(event[UNMAPPED]["nested"], str)
    assert event[UNMAPPED]["version"] == "1.2"


def test_email_addresses_in_unmapped_urls_are_masked() -> None:
    """In values and names, at any level; other texts are unchanged."""
    url = "https://shop.example/thanks?email=ada%40shop.example"
    masked = "https://shop.example/thanks?email=***"

    event = fit({UNMAPPED: {"entry": [{"url": url, url: 1}], "email": "ada@shop.example"}})

    assert event[UNMAPPED] == {"entry": [{"url": masked, masked: 1}], "email": "ada@shop.example"}
