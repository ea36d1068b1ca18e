"""The newcomer's path: copy the tag from the dashboard, paste it, see the first event."""

import pytest
from selenium.webdriver import Keys
from selenium.webdriver.common.by import By

from tests.e2e.page.live_page import SCREENS, LivePage, tag_of
from tests.e2e.tracker.shop import open_shop
from tests.fixtures.waiting import eventually

pytestmark = pytest.mark.timeout(180)

_OPTIONS = {"full": 0, "checked": 1}
_BANNER = "It works. The first event of this site has arrived: Page view /later at"


def _until(page: LivePage, selector: str, text: str) -> None:
    eventually(
        lambda: text in page.text(selector),
        within_seconds=30,
        what=f"{selector} shows {text!r}, not {page.text(selector)!r}",
    )


def _until_tag(page: LivePage, selector: str, text: str) -> None:
    eventually(
        lambda: text in page.tag(selector),
        within_seconds=30,
        what=f"{selector} shows {text!r}, not {page.tag(selector)!r}",
    )


def _tick(page: LivePage, option: str) -> None:
    boxes = page.chrome.find_elements(By.CSS_SELECTOR, "#unknown .options input")
    boxes[_OPTIONS[option]].click()


def _open_in_another_tab(page: LivePage, tag: str, site_id: str) -> None:
    """Open a page of another site that has this tag in its head, until it has sent an event."""
    this = page.chrome.current_window_handle
    with open_shop(page.stack.url, tag) as shop:
        page.chrome.switch_to.new_window("tab")
        page.chrome.get(f"{shop.url}/later")
        eventually(
            lambda: page.stack.rows("SELECT path FROM events WHERE site_id = ?", [site_id]),
            within_seconds=30,
            what="the event is stored",
        )
        console = page.console()
        page.chrome.close()
    page.chrome.switch_to.window(this)
    assert console == []


@pytest.mark.parametrize("options", [(), ("full", "checked")])
def test_a_pasted_tag_sends_the_first_event(page: LivePage, options: tuple[str, ...]) -> None:
    """Also with an integrity check, which the browser does; the page says that it has arrived."""
    site_id = "-".join(("pasted", *options))
    page.chrome.get(f"{page.address}&site={site_id}")
    _until_tag(page, "#unknown", tag_of(page, site_id))
    for option in options:
        _tick(page, option)
    if options:
        _until_tag(page, "#unknown", 'integrity="sha384-')

    _open_in_another_tab(page, page.tag("#unknown"), site_id)

    _until(page, "#first-event", _BANNER)
    assert page.chrome.execute_script("return document.title").endswith(f" · {site_id}")
    assert page.violations() == []
    page.chrome.find_element(By.CSS_SELECTOR, "#first-event button").click()
    assert page.text("#first-event") == ""


def test_the_tag_is_copied_to_the_clipboard(page: LivePage) -> None:
    """And pasted into a field, as into an editor."""
    page.chrome.execute_cdp_cmd("Browser.grantPermissions", {"permissions": ["clipboardReadWrite"]})
    page.chrome.get(f"{page.address}&site=copied")
    _until_tag(page, "#unknown", tag_of(page, "copied"))

    page.chrome.find_element(By.CSS_SELECTOR, "#unknown .tag button").click()

    _until(page, "#unknown .tag button", "Copied")
    text = page.chrome.execute_async_script("navigator.clipboard.readText().then(arguments[0])")
    assert text == tag_of(page, "copied")


@pytest.mark.parametrize(("size", "theme"), SCREENS)
def test_the_tag_of_a_site_with_events_is_a_click_away(
    page: LivePage, size: tuple[int, int], theme: str
) -> None:
    """In a dialog that the keyboard closes; the focus returns to the button."""
    page.set_screen(size, theme)
    page.open("known")
    button = page.chrome.find_element(By.ID, "show-tag")

    button.click()

    _until_tag(page, "#tag-dialog", tag_of(page, "known"))
    assert page.violations() == []
    wide = "return document.documentElement.scrollWidth"
    assert page.chrome.execute_script(wide) <= size[0]
    page.chrome.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert page.text("#tag-dialog") == ""
    assert page.chrome.switch_to.active_element == button
