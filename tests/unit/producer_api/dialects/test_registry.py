"""The table of dialects, and routes by path."""

import re
from collections import Counter

import pytest

from producer_api.events.dialects.model import (
    PIXEL,
    Dialect,
    Endpoint,
    Outcome,
    accepted_or_error,
    json_reply,
    no_events,
)
from producer_api.events.dialects.registry import DIALECTS, Routes, enabled
from producer_api.events.request import Request
from producer_api.http.paths import allowed_methods, is_event_path, metric_label
from schemas.asgi_extensions import canonical_path
from schemas.settings import SettingsError

NAMES = frozenset(dialect.name for dialect in DIALECTS)


def endpoint(path: str) -> Endpoint:
    """Return an endpoint that asks for nothing."""
    return Endpoint(path, no_events, lambda _request, _outcome: json_reply({}))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["all"], NAMES),
        (["none"], frozenset()),
        ([], frozenset()),
        (["plausible"], {"plausible"}),
        (["none", "plausible"], {"plausible"}),
        (["plausible", "all"], NAMES),
    ],
)
def test_the_setting_names_dialects(names: list[str], expected: frozenset[str]) -> None:
    """Or all, or none."""
    assert enabled(names) == expected


def test_an_unknown_dialect_is_an_error() -> None:
    """The message names the setting, and the known dialects."""
    with pytest.raises(SettingsError, match=r"HEADRACE_API__DIALECTS: 'x' .*all, none, plausible"):
        enabled(["plausible", "x"])


def test_names_are_those_of_modules_and_folders() -> None:
    """Each exists once."""
    assert max(Counter(dialect.name for dialect in DIALECTS).values()) == 1
    assert all(re.fullmatch(r"[a-z]+", name) for name in NAMES - {"all", "none"})


@pytest.mark.parametrize(
    "path", [endpoint.path for dialect in DIALECTS for endpoint in dialect.endpoints]
)
def test_endpoints_are_canonical_paths_of_events(path: str) -> None:
    """They allow preflights, and have their pattern as label of metrics."""
    concrete = path.replace("{", "").replace("}", "")

    assert canonical_path(path) == path
    assert is_event_path(concrete)
    assert allowed_methods(concrete).endswith("OPTIONS")
    if "{" in path:
        assert metric_label(concrete) == path


def test_a_variable_matches_one_segment() -> None:
    """Paths without variables take precedence."""
    exact, pattern = endpoint("/a/b"), endpoint("/a/{key}/c.d")
    routes = Routes([Dialect("x", "X", (pattern, exact))])

    assert [route.endpoint for route in routes.at("/a/b")] == [exact]
    assert [route.endpoint for route in routes.at("/a/b/c.d")] == [pattern]
    for path in ("/a", "/a/b/c", "/a//c.d", "/a/b/c/c.d", "/a/b/cxd", "/a/b/c.d/e"):
        assert list(routes.at(path)) == []


def test_routes_are_in_the_order_of_the_table() -> None:
    """Several dialects may share a path; the first that matches a request gets it."""
    first, second = (Dialect(name, name, (endpoint("/a"),)) for name in ("x", "y"))

    assert [route.dialect for route in Routes([first, second]).at("/a")] == [first, second]


def test_the_reply_to_a_rejection_is_its_error() -> None:
    """With a status that is an error, also if other events were accepted."""
    rejected = {"index": 1, "status": "rejected", "error": "No.", "code": "bad_site_id"}
    accepted = {"index": 0, "status": "accepted", "event_id": "a"}

    reply = accepted_or_error(Outcome(207, [accepted, rejected]), PIXEL)

    assert (reply.status, reply.body) == (400, b'{"error":"No.","code":"bad_site_id"}')
    assert accepted_or_error(Outcome(202, [accepted]), PIXEL) == PIXEL
    assert Outcome(202, [accepted]).is_accepted
    assert not Outcome(207, [accepted, rejected]).is_accepted


def test_parameters_are_those_of_the_query() -> None:
    """Of duplicate ones the last; empty ones count."""
    assert Request("GET", "/", "a=1&a=2&b=").parameters == {"a": "2", "b": ""}
