"""Published live counters equal a recount of the log, with any batches and restarts."""

from collections.abc import Iterable
from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from schemas.records import LiveCounters
from streams.domain.live.aggregator import LiveAggregator
from tests.property.streams.histories import Logged, Shape, events_of, logs
from tests.unit.streams.live_recount import numbers_of, recount
from tests.unit.streams.samples import MINUTE_MS, event

_SITES = ("shop", "blog")
_READ_BACK_MS = 31 * MINUTE_MS

kinds = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["pageview", "pageview", "error", "pageleave"]),
        "site_id": st.sampled_from(_SITES),
        "session_id": st.sampled_from(["s-1", "s-2", "s-3"]),
        "visitor_id": st.sampled_from([None, "v-1", "s-1", ""]),
        "path": st.sampled_from(["/", "/buy", None]),
        "referrer": st.sampled_from([None, None, "https://search.example/q", "http://a.b:8/"]),
        "country": st.sampled_from([None, "AT", "DE"]),
        "device": st.sampled_from([None, "mobile", "desktop"]),
        "source": st.sampled_from([None, None, "Google", "Reddit"]),
    }
)
events = kinds.map(lambda fields: partial(event, **fields))
shape = Shape(waits_ms=(0, 1, 400, 1_000, 20_000, 59_999, 60_000, 299_999, 300_000, 1_800_000))
waits = st.sampled_from([0, 1, 250, 1_000, 60_000, 240_000, 300_000, 900_000, 1_800_000])
plans = st.lists(st.tuples(st.integers(1, 6), st.booleans()), max_size=12)


def _feed(aggregator: LiveAggregator, log: Iterable[Logged]) -> None:
    for one, src in log:
        aggregator.apply(one, src, float(src.log_ms))


def _expected(log: list[Logged], now_ms: int) -> dict[str, object]:
    return {
        site: numbers_of(None) | _without_port(recount(events_of(log), site, now_ms))
        for site in _SITES
    }


def _without_port(numbers: dict[str, object]) -> dict[str, object]:
    hosts = numbers["referrers"]
    assert isinstance(hosts, dict)
    return numbers | {"referrers": {host.split(":")[0]: n for host, n in hosts.items()}}


@given(log=logs(events, shape), plan=plans, wait=waits)
def test_the_last_counters_equal_a_recount(
    log: list[Logged], plan: list[tuple[int, bool]], wait: int
) -> None:
    """With any batches, replays and pauses. Counters are published only when they change."""
    aggregator, newest, at = LiveAggregator(0), dict[str, LiveCounters](), 0
    now_ms = 0
    for size, is_published in (*plan, (len(log), False)):
        _feed(aggregator, log[at : at + size])
        at += size
        now_ms = max(now_ms, *(src.log_ms for _, src in log[:at]))
        if is_published:
            newest |= {one.site_id: one for one in aggregator.due(float(now_ms))}
    now_ms += wait
    newest |= {one.site_id: one for one in aggregator.due(float(now_ms))}

    assert {site: numbers_of(newest.get(site)) for site in _SITES} == _expected(log, now_ms)
    assert aggregator.due(float(now_ms)) == []


@given(log=logs(events, shape), wait=waits, data=st.data())
def test_a_restart_at_any_point_gives_the_numbers_of_an_uninterrupted_run(
    log: list[Logged], wait: int, data: st.DataObject
) -> None:
    """The new worker has no state, and reads the last 31 minutes."""
    crash = data.draw(st.integers(0, len(log) - 1))
    begin = next(
        index
        for index, (_, src) in enumerate(log)
        if src.log_ms >= log[crash][1].log_ms - _READ_BACK_MS
    )
    aggregator = LiveAggregator(0)
    _feed(aggregator, log[begin:])
    now_ms = max(src.log_ms for _, src in log) + wait
    newest = {one.site_id: one for one in aggregator.due(float(now_ms))}

    assert {site: numbers_of(newest.get(site)) for site in _SITES} == _expected(log, now_ms)


@given(log=logs(events, shape))
def test_after_half_an_hour_without_events_zeros_are_published(log: list[Logged]) -> None:
    """For sites whose counters were published before. The states are deleted."""
    aggregator = LiveAggregator(0)
    _feed(aggregator, log)
    now_ms = max(src.log_ms for _, src in log)
    active = {one.site_id for one in aggregator.due(float(now_ms))}
    last = aggregator.due(float(now_ms + _READ_BACK_MS))

    assert {one.site_id for one in last} == active
    assert all(numbers_of(one) == numbers_of(None) and one.visitors == b"" for one in last)
    assert len(aggregator) == 0
