"""Page views and engaged time, in Chromium."""

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from tests.e2e.script.pages import Page, Pages
from tests.fixtures.waiting import eventually

#: Between the page's own clock and the script's.
_TOLERANCE_MS = 50
#: The visible time of the page, as its own script measures it.
_MEASURE = """<script>
visible = 0; since = 0;
document.addEventListener("visibilitychange", ({ timeStamp }) => {
  if (document.hidden) visible += timeStamp - since;
  else since = timeStamp;
});
</script>"""


def paths(pages: Pages) -> list[str]:
    """Return what follows the origin in the URLs of the views."""
    return [view["url"].removeprefix(pages.url) for view in pages.of_type("pageview")]


def test_each_view_of_an_application_counts(chrome: Chrome, pages: Pages) -> None:
    """pushState, back, and replaceState if path or query change; its referrer is the last URL."""
    chrome.get(f"{pages.url}/app")
    chrome.execute_script("history.pushState({}, '', '/app/a'); document.title = 'A'")
    chrome.execute_script("history.pushState({modal: 1}, '', '/app/a')")
    chrome.execute_script("history.replaceState({}, '', '/app/a#part')")
    chrome.execute_script("history.replaceState({}, '', '/app/a?tab=2')")
    chrome.execute_script("history.pushState({}, '', '/app/b')")
    chrome.back()

    views = pages.wait_for("pageview", 5)
    assert paths(pages) == ["/app", "/app/a", "/app/a?tab=2", "/app/b", "/app/a?tab=2"]
    assert [view.get("referrer", "").removeprefix(pages.url) for view in views] == [
        *("", "/app", "/app/a", "/app/a?tab=2", "/app/b"),
    ]
    leaves = pages.wait_for("pageleave", 4)
    assert [leave["url"] for leave in leaves] == [view["url"] for view in views[:4]]


def test_the_title_is_that_of_a_moment_later(chrome: Chrome, pages: Pages) -> None:
    """Applications set it after the URL."""
    chrome.get(f"{pages.url}/app")
    chrome.execute_script(
        "history.pushState({}, '', '/app/a'); setTimeout(() => document.title = 'A', 20)"
    )

    assert pages.wait_for("pageview", 2)[1]["title"] == "A"


def test_a_view_is_sent_with_its_title_although_other_events_wait(
    chrome: Chrome, pages: Pages
) -> None:
    """They do not take it along."""
    chrome.get(f"{pages.url}/app")
    pages.wait_for("pageview")
    chrome.execute_script(
        """headrace("before");
        setTimeout(() => history.pushState({}, "", "/app/a"), 60);
        setTimeout(() => { document.title = "A"; }, 130);"""
    )

    assert pages.wait_for("pageview", 2)[1]["title"] == "A"


def test_the_start_of_a_page_does_not_wait_for_its_layout(chrome: Chrome, pages: Pages) -> None:
    """Sizes and positions are read later: of a large page, they take the time of a long task."""
    pages.pages["/"] = Page(
        head="""<script>early = []; for (const name of ["scrollY", "innerWidth", "innerHeight"]) {
        const {get} = Object.getOwnPropertyDescriptor(window, name);
        Object.defineProperty(window, name, {get() {
          if (document.currentScript) early.push(name);
          return get.call(window);
        }}) }</script>"""
    )
    chrome.get(pages.url)

    (view,) = pages.wait_for("pageview")
    assert chrome.execute_script("return early") == []
    assert view["screen"]["viewport_width"] == chrome.execute_script("return innerWidth")


@pytest.mark.parametrize(("attributes", "views"), [("", 1), ("data-hash", 3)])
def test_fragments_are_views_by_option(
    chrome: Chrome, pages: Pages, attributes: str, views: int
) -> None:
    """Their path has the fragment, then."""
    pages.pages["/"] = Page('<a href="#/cart">Cart</a>', attributes=attributes)
    chrome.get(f"{pages.url}/#/")
    chrome.find_element(By.TAG_NAME, "a").click()
    chrome.execute_script("location.hash = '#/pay'; headrace('end')")

    pages.wait_for("custom_event")
    found = pages.wait_for("pageview", views)
    assert len(found) == views
    if views > 1:
        assert [view["path"] for view in found] == ["/#/", "/#/cart", "/#/pay"]
        leaves = pages.wait_for("pageleave", 2)
        assert [leave["path"] for leave in leaves] == ["/#/", "/#/cart"]


def test_a_page_that_the_browser_restores_is_a_view(chrome: Chrome, pages: Pages) -> None:
    """From the back/forward cache, where its script goes on."""
    chrome.get(f"{pages.url}/a")
    chrome.execute_script("window.kept = true")
    chrome.get(f"{pages.url}/b")
    chrome.back()

    assert eventually(
        lambda: chrome.execute_script("return window.kept"), within_seconds=10, what="restored"
    )
    pages.wait_for("pageview", 3)
    assert paths(pages) == ["/a", "/b", "/a"]
    chrome.get("about:blank")
    chrome.get(f"{pages.url}/c")
    leaves = pages.wait_for("pageleave", 3)
    assert [leave["url"].removeprefix(pages.url) for leave in leaves] == ["/a", "/b", "/a"]


def test_a_background_tab_is_a_view_when_it_is_shown(chrome: Chrome, pages: Pages) -> None:
    """Its calls are sent before."""
    pages.pages["/b"] = Page("<script defer src='data:text/javascript,headrace(`early`)'></script>")
    chrome.get(f"{pages.url}/a")
    pages.wait_for("pageview")
    target = chrome.execute_cdp_cmd(
        "Target.createTarget", {"url": f"{pages.url}/b", "background": True}
    )["targetId"]
    pages.wait_for("custom_event")
    assert paths(pages) == ["/a"]

    chrome.execute_cdp_cmd("Target.activateTarget", {"targetId": target})
    pages.wait_for("pageview", 2)
    assert paths(pages) == ["/a", "/b"]
    chrome.execute_cdp_cmd("Target.closeTarget", {"targetId": target})


def test_time_counts_while_the_page_is_visible(chrome: Chrome, pages: Pages) -> None:
    """Each leave has the time since the one before."""
    pages.pages["/a"] = Page(_MEASURE)
    chrome.get(f"{pages.url}/a")
    page = chrome.current_window_handle
    for leaves in (1, 2):
        pages.wait_for("pageview")
        chrome.switch_to.new_window("tab")
        found = pages.wait_for("pageleave", leaves)
        chrome.close()
        chrome.switch_to.window(page)
    seen = chrome.execute_script("return visible")

    assert sum(leave["duration"] for leave in found) == pytest.approx(seen, abs=_TOLERANCE_MS)


def test_a_leave_has_the_depth_of_scrolling(chrome: Chrome, pages: Pages) -> None:
    """The deepest, in percent of the page."""
    chrome.get(f"{pages.url}/a")
    chrome.execute_async_script(
        """const [done] = arguments; const end = document.documentElement.scrollHeight;
        addEventListener("scroll", () => { scrollTo(0, 0); done(); }, {once: true});
        scrollTo(0, end / 2);"""
    )
    chrome.get("about:blank")
    chrome.get(f"{pages.url}/b")

    (leave, *_) = pages.wait_for("pageleave")
    assert leave["properties"]["scroll"] > 70


def test_a_page_can_count_its_own_views(chrome: Chrome, pages: Pages) -> None:
    """With the attribute `data-manual`."""
    pages.pages["/"] = Page(attributes="data-manual")
    chrome.get(pages.url)
    chrome.execute_script(
        "history.pushState({}, '', '/x'); headrace('pageview', {path: '/one', title: 'One'});"
        "headrace('end')"
    )

    pages.wait_for("custom_event")
    (view,) = pages.wait_for("pageview")
    assert (view["path"], view["title"], view["url"]) == ("/one", "One", f"{pages.url}/x")
