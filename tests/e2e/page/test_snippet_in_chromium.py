"""The snippet of the guide for site owners, in a page of another origin."""

from pathlib import Path

import pytest

from tests.e2e.page.live_page import LivePage
from tests.fixtures.markdown import ROOT, blocks
from tests.fixtures.static_files import served_folder
from tests.fixtures.waiting import eventually

pytestmark = pytest.mark.timeout(180)

_PAGE = '<!doctype html><title>Prices</title><link rel="icon" href="data:,">'


def test_the_snippet_sends_page_views_of_one_session(page: LivePage, tmp_path: Path) -> None:
    """With path, title and referrer; a second page of the tab belongs to the same session."""
    (snippet,) = (
        block.text
        for block in blocks(ROOT / "docs" / "guides" / "site-owner.md")
        if block.language == "html"
    )
    snippet = snippet.replace("http://127.0.0.1:8080", page.stack.url)
    snippet = snippet.replace("my-site", "snippet")
    for name in ("pricing", "buy"):
        (tmp_path / f"{name}.html").write_text(f"{_PAGE}{snippet}<a href=/buy.html>Buy</a>")

    with served_folder(tmp_path) as url:
        page.chrome.get(f"{url}/pricing.html")
        page.chrome.find_element("tag name", "a").click()
        rows = eventually(
            lambda: page.stack.rows(
                "SELECT pageviews, entry_path, exit_path FROM sessions"
                " WHERE site_id = 'snippet' AND pageviews = 2"
            ),
            within_seconds=30,
            what="both page views are in one session",
        )
        events = eventually(
            lambda: page.stack.rows(
                "SELECT title, referrer FROM events WHERE site_id = 'snippet'"
                " AND type = 'pageview' AND path = '/buy.html'"
            ),
            within_seconds=30,
            what="the second page view is stored",
        )

    assert rows == [{"pageviews": 2, "entry_path": "/pricing.html", "exit_path": "/buy.html"}]
    (event,) = events
    assert event == {"title": "Prices", "referrer": f"{url}/pricing.html"}
