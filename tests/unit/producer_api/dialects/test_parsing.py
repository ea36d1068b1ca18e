"""Translated events that the compiled reader can take as they are."""

from typing import Any
from urllib.parse import parse_qsl

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from producer_api.events.dialects.fitting import UNMAPPED
from producer_api.events.dialects.parsing import plain_json
from producer_api.events.request import parameters_of
from tests.unit.producer_api.around import REQUIRED


def plain(**members: Any) -> Any:
    """Return what the compiled reader gets of an event; None if it gets none."""
    raw = plain_json({**REQUIRED, **members})
    return None if raw is None else msgspec.json.decode(raw)


def test_nulls_are_no_values() -> None:
    """Neither in the event, nor in the fields that are objects."""
    assert plain(title=None, vitals={"lcp": 1, "inp": None}, ad_click_ids={"gclid": None}) == {
        **REQUIRED,
        "vitals": {"lcp": 1},
    }


@pytest.mark.parametrize(
    "unmapped",
    [
        {"library": "@jitsu/js"},
        {"email": "ada@shop.example"},
        {"brands": [{"name": "a"}] * 20},
        {"text": "{[{[{[{[{[{["},
    ],
)
def test_most_of_what_is_unmapped_is_stored_unchanged(unmapped: dict[str, Any]) -> None:
    """As a text in `extra`."""
    assert msgspec.json.decode(plain(**{UNMAPPED: unmapped})["extra"]) == {UNMAPPED: unmapped}


@pytest.mark.parametrize(
    "unmapped",
    [
        {"url": "https://shop.example/thanks?name=a&email=ada%40shop.example"},
        {"url": "https://shop.example/#/thanks?email=ada@shop.example"},
        {"html": "x" * 9_000},
        {"deep": [[[[[[[[["a"]]]]]]]]]},
    ],
)
def test_the_rest_is_fitted(unmapped: dict[str, Any]) -> None:
    """Addresses in URLs are masked, and large and deep values cut."""
    assert plain(**{UNMAPPED: unmapped}) is None


@given(st.text("ab=&+%20?;", max_size=20) | st.text(max_size=20))
@example("a=1&a=2&&=&b&c=%41%zz+d&%E2%82=")
def test_parameters_are_those_of_the_standard_library(query: str) -> None:
    """For any query."""
    assert parameters_of(query) == dict(parse_qsl(query, keep_blank_values=True))
