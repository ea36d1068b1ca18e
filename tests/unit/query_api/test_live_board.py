from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from query_api import live_store
from query_api.live import iso
from query_api.live_store import PARTIAL_TTL_MS, LiveStore
from schemas.codec import CodecError, encode
from schemas.records import MinuteCount, PageCount, SecondCount, Subscription
from tests.unit.query_api.test_live import NOW_MS, partial


class Clock:
    """A clock that tests advance."""

    def __init__(self) -> None:
        self.now_ms = NOW_MS

    def __call__(self) -> int:
        """Return the time (ms)."""
        return self.now_ms


def test_the_newest_partial_of_each_partition_counts() -> None:
    """Partitions are added."""
    store = LiveStore(lambda: NOW_MS)
    for partition, sessions in ((0, 1), (1, 10), (0, 3)):
        store.put(encode(partial(partition, sessions=sessions)), NOW_MS)

    assert store.snapshot("shop")["sessions_now"] == 13


def test_a_partial_that_is_not_renewed_expires() -> None:
    """And is removed."""
    clock = Clock()
    store = LiveStore(clock)
    store.put(encode(partial(0, sessions=1)), NOW_MS)
    store.put(encode(partial(1, sessions=2)), NOW_MS + 10_000)
    clock.now_ms += PARTIAL_TTL_MS

    assert store.snapshot("shop")["sessions_now"] == 2
    clock.now_ms += 10_000
    assert store.sites(10) == []
    assert (store.size, store.size_bytes) == (0, 0)


def stalled_since(store: LiveStore) -> str | None:
    """Return `stalled_since` of a site; without `latest`, None must be absent."""
    full, plain = store.snapshot("nobody", latest=True), store.snapshot("nobody")
    since: str | None = full["stalled_since"]
    assert plain.get("stalled_since", None) == since
    assert ("stalled_since" in plain) == (since is not None)
    return since


def test_while_loading_every_site_is_stalled() -> None:
    """Since the start, or the time of a report that was already read."""
    clock = Clock()
    store = LiveStore(clock)
    store.begin_load()
    clock.now_ms += 100
    assert stalled_since(store) == iso(NOW_MS)

    store.update_completeness({0: 3_000, 1: 1_000}, NOW_MS - 60_000)
    assert stalled_since(store) == iso(NOW_MS - 63_000)


def test_a_partition_without_a_report_is_stalled_from_the_start() -> None:
    """As when no worker has caught up: any site may have sessions in it."""
    clock = Clock()
    store = LiveStore(clock)
    store.begin_load()
    store.update_completeness({0: 0}, NOW_MS)
    store.finish_load([0, 1])
    clock.now_ms += 1
    assert stalled_since(store) == iso(NOW_MS)

    store.update_completeness({1: 0}, NOW_MS)
    assert stalled_since(store) is None


def test_a_site_is_stalled_if_a_partition_is_not_up_to_date() -> None:
    """Workers that lag send reports, too, but with a higher age."""
    clock = Clock()
    store = LiveStore(clock)
    store.begin_load()
    store.finish_load([0, 1])
    store.update_completeness({0: 0, 1: 500}, NOW_MS)
    clock.now_ms += 7_499
    assert stalled_since(store) is None
    clock.now_ms += 1
    store.update_completeness({0: 0, 1: 8_000}, clock.now_ms)
    assert stalled_since(store) == iso(NOW_MS - 500)

    clock.now_ms += 3_600_000
    assert stalled_since(store) == iso(NOW_MS - 500)
    store.update_completeness({0: 0, 1: 0}, clock.now_ms)
    assert stalled_since(store) is None


def test_a_site_over_the_limit_is_rejected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The others are still updated."""
    monkeypatch.setattr(live_store, "MAX_SITES", 3)
    store = LiveStore(lambda: NOW_MS)
    for number in range(10):
        store.put(encode(partial(site_id=f"site-{number}", sessions=1)), NOW_MS)
    store.put(encode(partial(site_id="site-0", sessions=5)), NOW_MS)

    assert store.sites(10) == ["site-0", "site-1", "site-2"]
    assert store.rejected == 7
    assert store.snapshot("site-0")["sessions_now"] == 5


def active(site_id: str, minutes: int, last_s: int = 0, **fields: Any) -> bytes:
    """Return counters with events in `minutes` minutes, the last one `last_s` seconds ago."""
    at_s = NOW_MS // 1_000 - last_s
    counted = [MinuteCount(at_s // 60 - back, 1) for back in range(minutes)]
    seconds = [SecondCount(at_s, {"pageview": 1})]
    values: dict[str, Any] = {"sessions": 1, **fields}
    return encode(partial(site_id=site_id, minutes=counted, seconds=seconds, **values))


@pytest.mark.parametrize("minutes", [1, 5])
def test_a_flood_of_sites_does_not_evict_active_sites(
    minutes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More sites than the limit, before and after the first event of a real one."""
    monkeypatch.setattr(live_store, "MAX_SITES", 1_000)
    store = LiveStore(lambda: NOW_MS)
    for site in ("known", "quiet"):
        store.put(active(site, 6, last_s=1), NOW_MS)
    for number in range(1_200):
        store.put(active(f"flood-{number}", minutes, last_s=60 - number // 30), NOW_MS)

    store.put(active("new", 1), NOW_MS)
    store.put(active("known", 7, sessions=5), NOW_MS)
    for number in range(200):
        store.put(active(f"late-{number}", 1), NOW_MS)
        store.put(active(f"flood-{number}", minutes, last_s=60 - number // 30), NOW_MS)

    sessions = {site: store.snapshot(site)["sessions_now"] for site in ("known", "quiet", "new")}
    assert sessions == {"known": 5, "quiet": 1, "new": 1}
    assert store.size <= 1_000


@given(
    st.lists(
        st.tuples(st.integers(0, 12), st.integers(0, 2), st.integers(0, 6), st.integers(0, 9)),
        max_size=60,
    )
)
def test_sites_and_bytes_are_limited(
    puts: list[tuple[int, int, int, int]],
) -> None:
    """For any sequence of partials."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live_store, "MAX_SITES", 6)
        patch.setattr(live_store, "MAX_BYTES", 1_000)
        store = LiveStore(lambda: NOW_MS)
        for site, where, minutes, last_s in puts:
            pages = [PageCount("/" * 20 * minutes, 1)]
            fields = {"partition": where, "pages": pages}
            store.put(active(f"site-{site}", minutes, last_s, **fields), NOW_MS)
            assert store.size <= 6
            assert store.size_bytes <= 1_000


def test_a_partial_over_the_byte_limit_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    """The existing ones are kept."""
    first = encode(partial(sessions=1))
    monkeypatch.setattr(live_store, "MAX_BYTES", len(first))
    store = LiveStore(lambda: NOW_MS)
    store.put(first, NOW_MS)
    store.put(encode(partial(1, sessions=1)), NOW_MS)

    assert store.snapshot("shop")["sessions_now"] == 1


@pytest.mark.parametrize("message", [b"", b"\0\0\0\0\6", b"{}", b"\0\0\0\0\6\xff\xff\xff"])
def test_a_malformed_record_is_rejected(message: bytes) -> None:
    """With a `CodecError`."""
    with pytest.raises(CodecError):
        LiveStore(lambda: NOW_MS).put(message, NOW_MS)


def test_a_malformed_record_does_not_affect_others() -> None:
    """A record of another type, and a malformed sketch."""
    store = LiveStore(lambda: NOW_MS)
    other = Subscription(
        subscription_id="shop",
        site_id="\2",
        rule="payment",
        params="{}",
        cooldown_seconds=0,
        enabled=True,
        updated_at=0,
    )
    store.put(encode(partial(0, sessions=1)), NOW_MS)
    bad_sketch = replace(partial(2, sessions=2), visitors=b"no sketch")
    for message in (encode(bad_sketch), encode(other)):
        with pytest.raises(ValueError, match=r"sketch|Subscription"):
            store.put(message, NOW_MS)

    assert store.snapshot("shop")["sessions_now"] == 1
