from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.codec import CodecError, encode
from schemas.records import MinuteCount, PageCount, SecondCount, Subscription
from sinks.query import live_board
from sinks.query.live import iso
from sinks.query.live_board import EXPIRES_MS, Board
from tests.unit.sinks.query.test_live import NOW_MS, partial


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now_ms = NOW_MS

    def __call__(self) -> int:
        """Return its time."""
        return self.now_ms


def test_the_newest_of_each_partition_counts() -> None:
    """Partitions are added, and none twice."""
    board = Board(lambda: NOW_MS)
    for partition, sessions in ((0, 1), (1, 10), (0, 3)):
        board.put(encode(partial(partition, sessions=sessions)), NOW_MS)

    assert board.snapshot("shop")["sessions_now"] == 13


def test_what_is_not_renewed_expires_and_is_forgotten() -> None:
    """Its worker is gone; one that is renewed stays."""
    clock = Clock()
    board = Board(clock)
    board.put(encode(partial(0, sessions=1)), NOW_MS)
    board.put(encode(partial(1, sessions=2)), NOW_MS + 10_000)
    clock.now_ms += EXPIRES_MS

    assert board.snapshot("shop")["sessions_now"] == 2
    clock.now_ms += 10_000
    assert board.sites(10) == []
    assert (board.size, board.size_bytes) == (0, 0)


def stalled_since(board: Board) -> str | None:
    """Return what is told of any site; without `latest`, a field that is there only then."""
    told, plain = board.snapshot("nobody", latest=True), board.snapshot("nobody")
    since: str | None = told["stalled_since"]
    assert plain.get("stalled_since", None) == since
    assert ("stalled_since" in plain) == (since is not None)
    return since


def test_before_all_is_read_every_site_is_stalled() -> None:
    """Since we started, or since a report that was read by now."""
    clock = Clock()
    board = Board(clock)
    board.start()
    clock.now_ms += 100
    assert stalled_since(board) == iso(NOW_MS)

    board.note_counted({0: 3_000, 1: 1_000}, NOW_MS - 60_000)
    assert stalled_since(board) == iso(NOW_MS - 63_000)


def test_a_partition_without_a_report_is_stalled_from_the_start() -> None:
    """As when no worker counts, or none has caught up; a site may have sessions in it."""
    clock = Clock()
    board = Board(clock)
    board.start()
    board.note_counted({0: 0}, NOW_MS)
    board.complete([0, 1])
    clock.now_ms += 1
    assert stalled_since(board) == iso(NOW_MS)

    board.note_counted({1: 0}, NOW_MS)
    assert stalled_since(board) is None


def test_a_site_is_stalled_when_a_partition_was_counted_long_ago() -> None:
    """A worker that lags reports, too: what counts is until when its counters are complete."""
    clock = Clock()
    board = Board(clock)
    board.start()
    board.complete([0, 1])
    board.note_counted({0: 0, 1: 500}, NOW_MS)
    clock.now_ms += 7_499
    assert stalled_since(board) is None
    clock.now_ms += 1
    board.note_counted({0: 0, 1: 8_000}, clock.now_ms)
    assert stalled_since(board) == iso(NOW_MS - 500)

    clock.now_ms += 3_600_000
    assert stalled_since(board) == iso(NOW_MS - 500)
    board.note_counted({0: 0, 1: 0}, clock.now_ms)
    assert stalled_since(board) is None


def test_a_site_too_many_is_not_kept_and_the_others_stay_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However many an attack names."""
    monkeypatch.setattr(live_board, "MOST_SITES", 3)
    board = Board(lambda: NOW_MS)
    for number in range(10):
        board.put(encode(partial(site_id=f"site-{number}", sessions=1)), NOW_MS)
    board.put(encode(partial(site_id="site-0", sessions=5)), NOW_MS)

    assert board.sites(10) == ["site-0", "site-1", "site-2"]
    assert board.refused == 7
    assert board.snapshot("site-0")["sessions_now"] == 5


def active(site_id: str, minutes: int, last_s: int = 0, **fields: Any) -> bytes:
    """Return the counters of a site with events in so many minutes, the last so long ago (s)."""
    at_s = NOW_MS // 1_000 - last_s
    counted = [MinuteCount(at_s // 60 - back, 1) for back in range(minutes)]
    seconds = [SecondCount(at_s, {"pageview": 1})]
    given: dict[str, Any] = {"sessions": 1, **fields}
    return encode(partial(site_id=site_id, minutes=counted, seconds=seconds, **given))


@pytest.mark.parametrize("minutes", [1, 5])
def test_invented_sites_evict_no_site_and_block_none_that_becomes_active(minutes: int) -> None:
    """Twelve thousand, before and after a real site's first event; one is known for long."""
    board = Board(lambda: NOW_MS)
    for site in ("known", "quiet"):
        board.put(active(site, 6, last_s=1), NOW_MS)
    for number in range(12_000):
        board.put(active(f"flood-{number}", minutes, last_s=60 - number // 300), NOW_MS)

    board.put(active("new", 1), NOW_MS)
    board.put(active("known", 7, sessions=5), NOW_MS)
    for number in range(2_000):
        board.put(active(f"late-{number}", 1), NOW_MS)
        board.put(active(f"flood-{number}", minutes, last_s=60 - number // 300), NOW_MS)

    sessions = {site: board.snapshot(site)["sessions_now"] for site in ("known", "quiet", "new")}
    assert sessions == {"known": 5, "quiet": 1, "new": 1}
    assert board.size <= live_board.MOST_SITES


@given(
    st.lists(
        st.tuples(st.integers(0, 12), st.integers(0, 2), st.integers(0, 6), st.integers(0, 9)),
        max_size=60,
    )
)
def test_sites_and_bytes_are_bounded_whatever_comes(
    puts: list[tuple[int, int, int, int]],
) -> None:
    """Of a site too many the least active one is evicted, whole; what is kept can be read."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live_board, "MOST_SITES", 6)
        patch.setattr(live_board, "MOST_BYTES", 1_000)
        board = Board(lambda: NOW_MS)
        for site, where, minutes, last_s in puts:
            pages = [PageCount("/" * 20 * minutes, 1)]
            fields = {"partition": where, "pages": pages}
            board.put(active(f"site-{site}", minutes, last_s, **fields), NOW_MS)
            assert board.size <= 6
            assert board.size_bytes <= 1_000


def test_bytes_are_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """What would be too much leaves what was there."""
    first = encode(partial(sessions=1))
    monkeypatch.setattr(live_board, "MOST_BYTES", len(first))
    board = Board(lambda: NOW_MS)
    board.put(first, NOW_MS)
    board.put(encode(partial(1, sessions=1)), NOW_MS)

    assert board.snapshot("shop")["sessions_now"] == 1


@pytest.mark.parametrize("message", [b"", b"\0\0\0\0\6", b"{}", b"\0\0\0\0\6\xff\xff\xff"])
def test_bytes_that_are_no_record_are_refused(message: bytes) -> None:
    """Whatever they are."""
    with pytest.raises(CodecError):
        Board(lambda: NOW_MS).put(message, NOW_MS)


def test_a_record_that_cannot_be_read_spoils_no_other() -> None:
    """Another record's bytes, or a sketch that is none."""
    board = Board(lambda: NOW_MS)
    other = Subscription(
        subscription_id="shop",
        site_id="\2",
        rule="payment",
        params="{}",
        cooldown_seconds=0,
        enabled=True,
        updated_at=0,
    )
    board.put(encode(partial(0, sessions=1)), NOW_MS)
    bad_sketch = replace(partial(2, sessions=2), visitors=b"no sketch")
    for message in (encode(bad_sketch), encode(other)):
        with pytest.raises(ValueError, match=r"sketch|Subscription"):
            board.put(message, NOW_MS)

    assert board.snapshot("shop")["sessions_now"] == 1
