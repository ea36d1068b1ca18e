"""Pages that the browser loads before the visitor opens them, by speculation rules.

In a browser without a debugger, because Chromium prerenders nothing while it is debugged.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas.records import RawEvent
from tests.e2e.tracker.collector import Collector, open_collector
from tests.e2e.tracker.shop import open_shop, tag_of
from tests.fixtures import chromium
from tests.fixtures.waiting import eventually

_SECONDS = 60
#: Of the clock of the page: it is activated just before it is told so.
_TOLERANCE_US = 100_000


@contextmanager
def _browser(profile: Path, url: str) -> Iterator[None]:
    path, _ = chromium.find()
    arguments = [*chromium.ARGUMENTS, f"--user-data-dir={profile}", url]
    with subprocess.Popen([path, *arguments], stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


def test_a_prerendered_page_is_viewed_when_it_is_opened(tmp_path: Path) -> None:
    """It sends nothing before, and its visible time begins then."""
    with (
        open_collector() as collector,
        open_shop(collector.url, tag_of(collector.url)) as shop,
        _browser(tmp_path, f"{shop.url}/before"),
    ):
        (later,) = eventually(
            lambda: shop.reports("later", "/prerendered"),
            within_seconds=_SECONDS,
            what="the page is prerendered",
        )
        assert later["prerendering"]
        assert not _types(collector)

        shop.opens_next.set()
        eventually(
            lambda: "pageview" in _types(collector),
            within_seconds=_SECONDS,
            what="the page is viewed",
        )
        (activated,) = shop.reports("prerenderingchange", "/prerendered")
        (view,) = _of_page(collector)
    assert view.event_ts >= activated["wall"] * 1000 - _TOLERANCE_US


def _of_page(collector: Collector) -> list[RawEvent]:
    return [event for event in collector.events if event.path == "/prerendered"]


def _types(collector: Collector) -> list[str]:
    return [event.type for event in _of_page(collector)]
