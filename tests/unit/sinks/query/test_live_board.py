import pytest
from msgspec.structs import replace

from schemas.codec import CodecError, encode
from schemas.records import MinuteCount, Subscription
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
    assert board.size == 0


def test_what_was_silent_before_we_looked_is_told_as_that_old() -> None:
    """A server that starts after counting ended reads what was told last, all at once."""
    board = Board(lambda: NOW_MS)
    happened = [MinuteCount(NOW_MS // 60_000, 1)]
    board.put(encode(partial(0, minutes=happened)), NOW_MS - 10_000)

    assert board.snapshot("shop", latest=True)["stalled_since"] == iso(NOW_MS - 10_000)


def test_a_site_is_stalled_when_one_of_its_partitions_is_silent() -> None:
    """Since it was heard last, of whatever site: a silent site is not a silent partition."""
    clock = Clock()
    board = Board(clock)

    def come(site_id: str, partition: int) -> None:
        happened = [MinuteCount(NOW_MS // 60_000, 1)]
        message = partial(partition, site_id=site_id, minutes=happened)
        board.put(encode(message), clock.now_ms)

    for partition in (0, 1):
        come("shop", partition)
    clock.now_ms += 4_000
    come("blog", 0)
    clock.now_ms += 1_999
    assert board.snapshot("shop", latest=True)["stalled_since"] is None
    clock.now_ms += 1
    assert board.snapshot("shop", latest=True)["stalled_since"] == "2026-04-01T12:00:30.500Z"
    assert board.snapshot("blog", latest=True)["stalled_since"] is None

    come("other", 1)
    assert board.snapshot("shop", latest=True)["stalled_since"] is None


def test_a_site_where_nothing_happens_is_not_stalled() -> None:
    """Its zeros were told once, and nobody has more to say."""
    clock = Clock()
    board = Board(clock)
    board.put(encode(partial()), NOW_MS)
    clock.now_ms += 30_000

    assert board.snapshot("shop", latest=True)["stalled_since"] is None
    assert board.snapshot("nobody", latest=True)["stalled_since"] is None


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
    board.put(encode(bad_sketch), NOW_MS)
    board.put(encode(other), NOW_MS)

    assert board.snapshot("shop")["sessions_now"] == 1
