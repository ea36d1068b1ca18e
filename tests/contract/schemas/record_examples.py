"""Examples of every published schema: `schemas/examples/records/<id>-<record>.bin` and `.json`.

`python -m tests.contract.schemas.record_examples` writes missing ones. It never overwrites one,
because they represent records that exist in topics.
"""

import json
from decimal import Decimal
from importlib.resources import files
from pathlib import Path

import msgspec

from schemas import sketch
from schemas.blocked_ids import hash_of
from schemas.codec import SCHEMA_FILES, encode
from schemas.records import (
    Alert,
    AlertState,
    BlockedId,
    ClusterEpoch,
    CountryCount,
    DeviceCount,
    FlatVisit,
    ImportWindow,
    LatestEvent,
    LiveCounters,
    MinuteCount,
    PageCount,
    PageDuration,
    ProcessStatus,
    RawEvent,
    Record,
    ReferrerCount,
    RejectionCount,
    Replay,
    Salt,
    Screen,
    SecondCount,
    SessionState,
    Site,
    SiteKey,
    SourceCount,
    Stamped,
    Subscription,
    TrafficSource,
    Utm,
    Visit,
    VisitorClient,
)

FOLDER = Path(str(files("schemas"))) / "examples" / "records"

_NOON_MS = 1_775_044_800_000
_NOON = _NOON_MS * 1_000
_EVENT = "0195f0c8-7f6e-7a10-9b3c-2f6d1a4e5b60"
_VISIT = "9f6a2c1e-5a1d-5c5b-8f5e-0a1b2c3d4e5f"


def example_id(schema_id: int) -> str:
    """Return the file name of a schema's example, without its extension."""
    schema = json.loads((FOLDER.parents[1] / "avro" / SCHEMA_FILES[schema_id]).read_bytes())
    return f"{schema_id}-{schema['name']}"


def _raw_event() -> RawEvent:
    return RawEvent(
        event_id=_EVENT,
        type="payment",
        site_id="shop.example",
        session_id="s-1",
        visitor_id="v-1",
        user_id="u-1",
        received_at=_NOON + 250_000,
        event_ts=_NOON,
        time_source="client",
        url="https://shop.example/buy?utm_source=news",
        path="/buy",
        hostname="shop.example",
        title="Straße ¡ya! 😀",
        referrer="https://search.example/",
        language="de-AT",
        user_agent="Mozilla/5.0",
        screen=Screen(1920, 1080, 1280, 720, 1.5),
        utm=Utm("news", "mail", "spring", "boots", "top"),
        ad_click_ids={"gclid": "abc"},
        duration_ms=2**40,
        event_name="buy",
        properties='{"plan":"pro"}',
        vitals={"cls": 0.05, "lcp": 2500.5},
        error_name="TypeError",
        error_message="x is undefined",
        error_stack="    at pay (app.js:1:2)",
        provider="stripe",
        amount=Decimal("-12.500001"),
        currency="EUR",
        extra='{"beta":true}',
        truncated=["error_stack", "extra"],
        browser="Firefox",
        browser_version="142",
        os="Linux",
        device="desktop",
        is_bot=True,
        country="AT",
        region="AT-9",
        source="Google",
        channel="Organic Search",
        trust="key",
        excluded="bot",
    )


def _flat_visit() -> FlatVisit:
    return FlatVisit(
        visit_id=_VISIT,
        site_id="shop.example",
        session_id="s-1",
        visitor_id="v-1",
        user_id="u-1",
        started_ms=_NOON_MS,
        ended_ms=_NOON_MS + 60_000,
        duration_ms=60_000,
        events=6,
        pageviews=3,
        entry_path="/",
        exit_path="/buy",
        referrer="https://search.example/",
        utm_source="news",
        utm_medium="mail",
        utm_campaign="spring",
        source="Google",
        channel="Organic Search",
        country="AT",
        region="AT-9",
        browser="Firefox",
        os="Linux",
        device="desktop",
        trust="key",
        bounced=False,
        errors=1,
        payments=1,
        state="closed",
        close_reason="idle",
        revision=7,
    )


def _session_state() -> SessionState:
    visit = Visit(
        visit_id=_VISIT,
        began_offset=41,
        started_at=_NOON,
        ended_at=_NOON + 60_000_000,
        last_log_ms=_NOON_MS + 60_250,
        state="withdrawn",
        close_reason="merged",
        revision=7,
        events=6,
        pageviews=3,
        errors=1,
        payments=1,
        engagements=2,
        entry=Stamped("/in", _NOON, _EVENT, "key"),
        exit=Stamped("/out", _NOON + 60_000_000, _EVENT),
        visitor_id=Stamped("v-1", _NOON, _EVENT),
        user_id=Stamped("u-1", _NOON, _EVENT),
        referrer=Stamped("https://search.example/", _NOON, _EVENT),
        utm_source=Stamped("news", _NOON, _EVENT),
        utm_medium=Stamped("mail", _NOON, _EVENT),
        utm_campaign=Stamped("spring", _NOON, _EVENT),
        leaving=True,
        hosts=["pay.example", "shop.example"],
        spare_referrers=[Stamped("https://news.example/", _NOON + 1, _EVENT, "origin")],
        traffic_source=TrafficSource(
            source="Google", channel="Organic Search", ts=_NOON, event_id=_EVENT, trust="origin"
        ),
        client=VisitorClient(
            country="AT",
            region="AT-9",
            browser="Firefox",
            os="Linux",
            device="desktop",
            ts=_NOON + 1,
            event_id=_EVENT,
            trust="key",
        ),
        trust="key",
    )
    return SessionState(site_id="shop.example", session_id="s-1", src_offset=47, visits=[visit])


def _page_duration() -> PageDuration:
    return PageDuration(
        site_id="shop.example",
        hour=_NOON,
        path="/buy",
        partition=3,
        generation=41,
        revision=2,
        src_offset=47,
        last_log_ms=_NOON_MS,
        leaves=3,
        total_ms=6_000,
        min_ms=0,
        max_ms=5_000,
        sketch=sketch.add(b"", [0, 1_000, 5_000]),
        candidates=b"\0\1\2\3\4\5",
    )


def _alert_state() -> AlertState:
    return AlertState(
        site_id="shop.example",
        rule="error.rate",
        subject="00ff00ff00ff00ff",
        applied={"0": 41, "3": 47},
        seen_ms=_NOON_MS,
        slot_ms=[_NOON_MS - 1, _NOON_MS],
        slot_counts=[2, 1],
        window_ms=_NOON_MS,
        count=12,
        raised_ms=_NOON_MS + 1,
        raised=["00ff00ff00ff00fe"],
        unseen=["00ff00ff00ff00fd", "00ff00ff00ff00fc"],
        unseen_event_id=_EVENT,
        unseen_titles=["TypeError: x is undefined", "RangeError"],
        digest_ms=_NOON_MS - 3_600_000,
    )


def _alert() -> Alert:
    return Alert(
        alert_id=_VISIT,
        site_id="shop.example",
        rule="payment",
        subject="s-1",
        title="Payment of 12.50 EUR",
        details='{"amount": "12.50", "currency": "EUR"}',
        event_id=_EVENT,
        raised_at=_NOON,
        subscription_id=_VISIT,
    )


def _live_counters() -> LiveCounters:
    return LiveCounters(
        site_id="shop.example",
        partition=3,
        at_ms=_NOON_MS,
        seconds=[SecondCount(_NOON_MS // 1_000, {"pageview": 2, "error": 1})],
        minutes=[MinuteCount(_NOON_MS // 60_000, 3)],
        sessions=2,
        visitors=b"\x02\x01\x07",
        pages=[PageCount("/buy", 2)],
        referrers=[ReferrerCount("search.example", 1)],
        latest=[LatestEvent(_NOON_MS, "payment", "649 EUR")],
        countries=[CountryCount("AT", 1), CountryCount("DE", 1)],
        devices=[DeviceCount("mobile", 2)],
        sources=[SourceCount("Google", 1)],
    )


def _subscription() -> Subscription:
    return Subscription(
        subscription_id=_VISIT,
        site_id="shop.example",
        rule="payment",
        params='{"min_amount": "100", "currency": "EUR"}',
        cooldown_seconds=600,
        enabled=True,
        updated_at=_NOON,
    )


def _replay() -> Replay:
    return Replay(
        stage="sessionize",
        origin="events-raw/3/41",
        src_offset=-1,
        log_ms=_NOON_MS,
        discard_reason="Sent by a test of ours",
        discarded_by="ada@gate",
    )


def _import_window() -> ImportWindow:
    return ImportWindow(
        site_id="shop.example",
        window_id=_VISIT,
        ends_at=_NOON + 120_000_000,
        updated_at=_NOON,
    )


def _blocked_id() -> BlockedId:
    hashed = hash_of("shop.example", "visitor", "v-1")
    return BlockedId(site_id="shop.example", hash=hashed, created_at=_NOON)


def _cluster_epoch() -> ClusterEpoch:
    return ClusterEpoch(cluster_id="aHKdW3lQQy2n1f0sXkT9vA", epoch=2, adopted_at=_NOON)


def _salt() -> Salt:
    return Salt(day="2026-04-01", salt=bytes(range(32)), created_at=_NOON)


def _process_status() -> ProcessStatus:
    return ProcessStatus(
        process_id="5f" * 16,
        role="api",
        host="api-7d4b9c",
        pid=17,
        version="0.1.0",
        started_at=_NOON,
        stopped=True,
        not_ready="Kafka at kafka:9092 is not reached yet",
        counters={"events_accepted": 12_345},
        rejections=[RejectionCount("shop.example", "rate_limited", 7)],
    )


def _site() -> Site:
    return Site(
        site_id="shop.example",
        origins=["https://shop.example", "*.shop.example"],
        require_key=["payment", "error"],
        events_per_second=200,
        counts_bots=True,
        derives_visitors=False,
        honours_opt_out=False,
        keys=[SiteKey(key_id=_VISIT, name="back end", hash="5f" * 32, created_at=_NOON)],
        created_at=_NOON,
        updated_at=_NOON + 1,
    )


#: An example of each record with its newest schema and all fields.
MAKERS = {
    record.__name__: make
    for record, make in (
        (RawEvent, _raw_event),
        (SessionState, _session_state),
        (FlatVisit, _flat_visit),
        (PageDuration, _page_duration),
        (AlertState, _alert_state),
        (Alert, _alert),
        (LiveCounters, _live_counters),
        (Subscription, _subscription),
        (Replay, _replay),
        (ImportWindow, _import_window),
        (ClusterEpoch, _cluster_epoch),
        (Salt, _salt),
        (BlockedId, _blocked_id),
        (Site, _site),
        (ProcessStatus, _process_status),
    )
}


def write_missing() -> None:
    """Write the missing examples of the newest schema of each record."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    newest = {example_id(number).partition("-")[2]: number for number in sorted(SCHEMA_FILES)}
    for name, number in newest.items():
        record: Record = MAKERS[name]()
        path = FOLDER / f"{number}-{name}"
        if not path.with_suffix(".bin").exists():
            path.with_suffix(".bin").write_bytes(encode(record))
            text = msgspec.json.format(msgspec.json.encode(record), indent=2)
            path.with_suffix(".json").write_bytes(text + b"\n")


if __name__ == "__main__":
    write_missing()
