"""Row mappings."""

from typing import Any

import pytest
from sqlmodel import SQLModel

from schemas.records import RawEvent, Screen, SessionState, Stamped, TrafficSource, VisitorClient
from sinks.rows import path_hash, session_rows
from sinks.sql.statements import Row
from sinks.sql.tables import AlertRow, EventRow, PageDurationRow, SessionRow, table_of
from tests.contract.sinks.samples import NOON, alert_at, duration_at, event_at, uuid_of, visit


def as_dict(model: type[SQLModel], row: Row) -> dict[str, Any]:
    """Return a row as a dict by column name."""
    return dict(zip(table_of(model).columns.keys(), row, strict=False))


@pytest.mark.parametrize("field", RawEvent.__struct_fields__)
def test_each_field_of_an_event_is_in_its_own_column(field: str) -> None:
    """The tuple has the order of the table's columns."""
    texts = {
        name: f"the {name}"
        for name in RawEvent.__struct_fields__
        if name not in {"screen", "utm", "ad_click_ids", "vitals", "truncated"}
    }
    row = as_dict(EventRow, event_at(7, **texts)[1])

    if field in texts:
        assert row[field] == texts[field].lower()
    assert (row["kafka_partition"], row["kafka_offset"]) == (0, 7)


def test_every_row_has_as_many_values_as_its_table_has_columns() -> None:
    """Except `seq` of alerts, which the writer assigns."""
    assert len(event_at(0)[1]) == len(table_of(EventRow).columns)
    assert len(duration_at(0, "/", 1)[1]) == len(table_of(PageDurationRow).columns)
    assert len(alert_at(0, "a")[1]) == len(table_of(AlertRow).columns) - 1
    assert table_of(AlertRow).columns.keys()[-1] == "seq"


def test_nested_fields_become_json_without_nulls() -> None:
    """An empty `truncated` becomes NULL."""
    fields = {"screen": Screen(width=1, pixel_ratio=2.0), "ad_click_ids": {"gclid": "ä"}}
    row = as_dict(EventRow, event_at(0, truncated=[], **fields)[1])

    assert row["screen"] == '{"width":1,"pixel_ratio":2.0}'
    assert row["ad_click_ids"] == '{"gclid":"ä"}'
    assert (row["utm"], row["truncated"]) == (None, None)


def test_ids_are_stored_in_lower_case() -> None:
    """UUIDs are case-insensitive, but SQLite compares text."""
    assert event_at(0, event_id=uuid_of(1).upper())[1] == event_at(0, 1)[1]


@pytest.mark.parametrize(
    ("path", "url", "stored"),
    [
        ("/sent", "https://a.example/other", "/sent"),
        (None, "https://a.example/of/url?x=1", "/of/url"),
        ("", "https://a.example", "/"),
        (None, None, "(none)"),
        (None, "https://[broken", "(none)"),
    ],
)
def test_a_missing_path_is_taken_from_the_url(
    path: str | None, url: str | None, stored: str
) -> None:
    """`(none)` if there is no valid URL, as in the other tables."""
    assert as_dict(EventRow, event_at(0, path=path, url=url)[1])["path"] == stored


def test_a_session_has_a_row_per_visit() -> None:
    """With the values of its first and last events, and its duration in milliseconds."""
    visits = [
        visit("a", 3, visitor_id=Stamped("v", NOON, ""), exit=Stamped("/out", NOON, "")),
        visit("b", 1, state="closed", close_reason="idle", ended_at=NOON),
    ]
    state = SessionState(site_id="shop", session_id="s-1", src_offset=9, visits=visits)
    first, second = (as_dict(SessionRow, row) for row in session_rows(state))

    assert (first["visitor_id"], first["entry_path"], first["exit_path"]) == ("v", "/in", "/out")
    assert (first["duration_ms"], second["duration_ms"]) == (90_000, 0)
    assert (second["state"], second["close_reason"], second["revision"]) == ("closed", "idle", 1)
    assert len(session_rows(state)[0]) == len(table_of(SessionRow).columns)


def test_a_session_has_the_attributes_of_its_visit() -> None:
    """A visit of an earlier version has none, and nobody vouches for it."""
    known = visit(
        "a",
        1,
        traffic_source=TrafficSource(
            source="Google", channel="Organic Search", ts=NOON, event_id="", trust="open"
        ),
        client=VisitorClient(
            country="AT",
            region="AT-9",
            browser="Firefox",
            os="Linux",
            device="tv",
            ts=NOON,
            event_id="",
            trust="key",
        ),
        trust="key",
    )
    state = SessionState(
        site_id="shop", session_id="s-1", src_offset=9, visits=[known, visit("b", 1)]
    )
    rows = [as_dict(SessionRow, row) for row in session_rows(state)]

    names = ("source", "channel", "country", "region", "browser", "os", "device", "trust")
    assert [[row[name] for name in names] for row in rows] == [
        ["Google", "Organic Search", "AT", "AT-9", "Firefox", "Linux", "tv", "key"],
        [*[None] * 7, "open"],
    ]


@pytest.mark.parametrize(
    ("pageviews", "engagements", "bounced"),
    [(1, 0, True), (1, 1, False), (2, 0, False), (0, 1, False)],
)
def test_a_bounce_is_one_pageview_and_no_engagement(
    pageviews: int, engagements: int, bounced: bool
) -> None:
    """All events but pageview, pageleave and web_vitals are engagements."""
    found = visit("a", 1, pageviews=pageviews, engagements=engagements)
    state = SessionState(site_id="shop", session_id="s-1", src_offset=9, visits=[found])

    assert as_dict(SessionRow, session_rows(state)[0])["bounced"] is bounced


def test_the_hash_of_a_path_never_changes() -> None:
    """It is part of a primary key."""
    assert path_hash("/") == -4667936858883809904
    assert -(2**63) <= path_hash("/ä" * 1000) < 2**63
    assert isinstance(path_hash("\ud800"), int)
