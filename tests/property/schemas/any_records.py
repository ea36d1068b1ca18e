"""Hypothesis strategies of all records."""

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

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

#: Numbers next to the limits of each varint length.
_EDGES = sorted({s * 2**b + d for b in range(6, 63, 7) for s in (1, -1) for d in (-1, 0, 1)})
longs = st.integers(-(2**63), 2**63 - 1) | st.sampled_from(_EDGES)
ints = st.integers(-(2**31), 2**31 - 1)
doubles = st.floats(allow_nan=False)
texts = st.text(max_size=40) | st.sampled_from(["", "ä€😀" * 1_000, "\u0000\n"])
maybe_text = st.none() | texts
maybe_long = st.none() | longs
amounts = st.integers(-(10**25) + 1, 10**25 - 1).map(lambda units: Decimal(units).scaleb(-6))
ids = st.uuids().map(str)
stamped = st.none() | st.builds(Stamped, texts, longs, ids)

screens = st.builds(
    Screen,
    **dict.fromkeys(("width", "height", "viewport_width", "viewport_height"), maybe_long),
    pixel_ratio=st.none() | doubles,
)
utms = st.builds(
    Utm, **dict.fromkeys(("source", "medium", "campaign", "term", "content"), maybe_text)
)

_BY_TYPE: dict[object, st.SearchStrategy[Any]] = {
    str: texts,
    int: longs,
    bytes: st.binary(max_size=60),
    bytes | None: st.none() | st.binary(max_size=60),
    str | None: maybe_text,
    int | None: maybe_long,
    Stamped | None: stamped,
    Screen | None: st.none() | screens,
    Utm | None: st.none() | utms,
    Decimal | None: st.none() | amounts,
    bool: st.booleans(),
    dict[str, int]: st.dictionaries(texts, longs, max_size=3),
    dict[str, str] | None: st.none() | st.dictionaries(texts, texts, max_size=3),
    dict[str, float] | None: st.none() | st.dictionaries(texts, doubles, max_size=3),
    list[str]: st.lists(texts, max_size=3),
    list[int]: st.lists(longs, max_size=3),
}


def built(record_type: type[Any], **strategies: st.SearchStrategy[Any]) -> Any:
    """Return a strategy of records. Fields without a strategy have any value of their type."""
    fields = {
        name: _BY_TYPE[annotation]
        for name, annotation in record_type.__annotations__.items()
        if name not in strategies
    }
    return st.builds(record_type, **fields, **strategies)


visits = built(
    Visit,
    state=st.sampled_from(["open", "closed", "withdrawn"]),
    close_reason=st.sampled_from([None, "idle", "merged"]),
    hosts=st.lists(texts, max_size=3),
    spare_referrers=st.lists(st.builds(Stamped, texts, longs, ids, texts), max_size=3),
    traffic_source=st.none() | built(TrafficSource),
    client=st.none() | built(VisitorClient),
)
RECORDS: dict[type[Record], st.SearchStrategy[Any]] = {
    RawEvent: built(RawEvent, time_source=st.sampled_from(["client", "clamped", "server"])),
    SessionState: built(SessionState, visits=st.lists(visits, max_size=2)),
    FlatVisit: built(FlatVisit),
    PageDuration: built(PageDuration, partition=ints),
    AlertState: built(AlertState),
    Alert: built(Alert),
    LiveCounters: built(
        LiveCounters,
        partition=ints,
        seconds=st.lists(st.builds(SecondCount, longs, _BY_TYPE[dict[str, int]]), max_size=3),
        minutes=st.lists(st.builds(MinuteCount, longs, longs), max_size=3),
        pages=st.lists(st.builds(PageCount, texts, longs), max_size=3),
        referrers=st.lists(st.builds(ReferrerCount, texts, longs), max_size=3),
        latest=st.lists(st.builds(LatestEvent, longs, texts, texts), max_size=3),
        countries=st.lists(st.builds(CountryCount, texts, longs), max_size=3),
        devices=st.lists(st.builds(DeviceCount, texts, longs), max_size=3),
        sources=st.lists(st.builds(SourceCount, texts, longs), max_size=3),
    ),
    Subscription: built(Subscription),
    Replay: built(Replay),
    ImportWindow: built(ImportWindow),
    ClusterEpoch: built(ClusterEpoch, epoch=ints),
    Salt: built(Salt),
    BlockedId: built(BlockedId),
    ProcessStatus: built(
        ProcessStatus,
        rejections=st.lists(st.builds(RejectionCount, texts, texts, longs), max_size=2),
    ),
    Site: built(
        Site,
        require_key=st.none() | st.lists(texts, max_size=3),
        keys=st.lists(built(SiteKey), max_size=2),
    ),
}
any_record = st.one_of(*RECORDS.values())
any_record_type = st.sampled_from(list(RECORDS))
