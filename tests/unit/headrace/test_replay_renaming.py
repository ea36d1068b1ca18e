"""Renaming members of JSON events."""

import json

import pytest

from headrace.traffic.replay.field_map import make_renamer


@pytest.mark.parametrize(
    ("mapped", "event", "renamed"),
    [
        ({"a": "b"}, {"a": 1, "c": 2}, {"b": 1, "c": 2}),
        ({"a": "b"}, {"c": 2}, {"c": 2}),
        ({"a": "b"}, {"a": 1, "b": 2}, {"b": 1}),
        ({"a": "b", "b": "a"}, {"a": 1, "b": 2}, {"b": 1, "a": 2}),
        ({"a.b": "c"}, {"a": {"b": 1, "d": 2}}, {"a": {"d": 2}, "c": 1}),
        ({"a.b": "c"}, {"a": {"b": 1}}, {"c": 1}),
        ({"a.b": "c"}, {"a.b": 1}, {"c": 1}),
        ({"a.b": "c"}, {"a": 7}, {"a": 7}),
        ({"w": "s.w", "h": "s.h"}, {"w": 1, "h": 2}, {"s": {"w": 1, "h": 2}}),
        ({"w": "s.w"}, {"w": 1, "s": {"h": 2}}, {"s": {"w": 1, "h": 2}}),
        ({"w": "s.w"}, {"w": 1, "s": 5}, {"s": {"w": 1}}),
        ({"x.y.z": "a"}, {"x": {"y": {"z": 1}}}, {"a": 1}),
    ],
)
def test_members_are_renamed(
    mapped: dict[str, str], event: dict[str, object], renamed: dict[str, object]
) -> None:
    """Nested ones with dots."""
    assert json.loads(make_renamer(mapped)(json.dumps(event).encode())) == renamed


def test_values_keep_every_digit() -> None:
    """Numbers are not converted to floats."""
    assert make_renamer({"a": "amount"})(b'{"a":1.10000000000000000001}') == (
        b'{"amount":1.10000000000000000001}'
    )


@pytest.mark.parametrize("data", [b"{", b"[1]", b"\xff", b'{"b":'])
def test_anything_but_an_object_does_not_change(data: bytes) -> None:
    """The server rejects it."""
    assert make_renamer({"a": "b"})(data) == data
