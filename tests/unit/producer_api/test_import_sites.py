"""Sites whose events keep timestamps of any age."""

from producer_api.events.import_sites import ImportSites
from schemas.codec import encode
from schemas.records import ImportWindow

_SECOND = 1_000_000


class _Sites:
    """Import sites with a clock that the test sets."""

    def __init__(self) -> None:
        self.now = 0
        self.sites = ImportSites(["always"], lambda: self.now)

    def open(self, site_id: str, window_id: str, ends_at: int) -> None:
        """Apply the record of an open window."""
        window = ImportWindow(
            site_id=site_id, window_id=window_id, ends_at=ends_at * _SECOND, updated_at=0
        )
        self.sites.apply(f"{site_id}:{window_id}".encode(), encode(window))

    def at(self, second: int) -> bool:
        """Return whether `shop` is an import site at this second."""
        self.now = second * _SECOND
        return "shop" in self.sites


def test_a_window_is_open_until_it_ends() -> None:
    """No record is needed at its end; other sites are not affected."""
    it = _Sites()
    assert not it.at(0)
    it.open("shop", "w", 10)

    assert (it.at(0), it.at(9), it.at(10), it.at(11)) == (True, True, False, False)
    assert "other" not in it.sites
    assert "always" in it.sites


def test_a_window_can_be_extended_and_closed() -> None:
    """The last record of a window counts."""
    it = _Sites()
    it.open("shop", "w", 10)
    it.open("shop", "w", 20)
    assert it.at(15)
    it.sites.apply(b"shop:w", None)

    assert not it.at(15)


def test_closing_one_window_leaves_the_other_open() -> None:
    """A site may have several windows."""
    it = _Sites()
    it.open("shop", "one", 10)
    it.open("shop", "two", 20)
    it.sites.apply(b"shop:one", None)

    assert (it.at(15), it.at(20)) == (True, False)


def test_an_invalid_record_is_skipped() -> None:
    """Open windows are not affected."""
    it = _Sites()
    it.open("shop", "w", 10)
    for key, value in ((b"shop:w", b"?"), (b"\xff", b""), (None, None), (b"shop", None)):
        it.sites.apply(key, value)

    assert it.at(5)
