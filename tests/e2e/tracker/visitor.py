"""A visitor of the site: a browser that does one step after the other."""

from typing import Any
from urllib.parse import quote, unquote, urlsplit

from selenium.webdriver import ActionChains, Chrome, Firefox, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.remote.webelement import WebElement

from tests.e2e.tracker.shop import Shop
from tests.fixtures.waiting import eventually

_SECONDS = 30
#: The visibility of the page after each step must be long enough to show errors of measurement.
_STAY_MS = 300


class Visitor:
    """Steps in a browser; each returns when the page has done it."""

    def __init__(self, browser: WebDriver, shop: Shop) -> None:
        self.browser = browser
        self._shop = shop

    def use_phone(self) -> None:
        """Emulate the screen of a phone; Firefox only has a small window."""
        (width, height) = (412, 915)
        if isinstance(self.browser, Chrome):
            phone = {"width": width, "height": height, "deviceScaleFactor": 2.625, "mobile": True}
            self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
        else:
            self.browser.set_window_size(width, height)

    def land(self, landing: str) -> None:
        """Open the site by a link of another site."""
        self._shop.landing = landing
        self.browser.get(f"{self._shop.partner}/search")
        self.follow("result", urlsplit(landing).path)

    def open(self, path: str) -> None:
        """Open a page of the site without a referrer."""
        self.browser.get(self._shop.url + path)
        self._arrived(urlsplit(path).path)

    def click(self, element_id: str) -> None:
        """Click an element of this page."""
        # Not `element.click()`: for it, Firefox's driver listens to `unload`, which keeps the page
        # out of the back/forward cache.
        element = self.browser.find_element(By.ID, element_id)
        self.browser.execute_script("arguments[0].scrollIntoView({block: 'nearest'})", element)
        ActionChains(self.browser, duration=0).click(element).perform()

    def follow(self, element_id: str, path: str) -> None:
        """Click a link or a button, and wait for the page that it leads to."""
        before = self._time_origin()
        self.click(element_id)
        self.until(lambda: self._time_origin() != before, f"{element_id} leads to another page")
        self._arrived(path)

    def back(self, path: str) -> None:
        """Go back to a page, which the browser has kept in its back/forward cache.

        Firefox does not keep, and loads again, a page that was left during a request.
        """
        shown = len(self._restored(path))
        self.browser.back()
        self.until(lambda: len(self._restored(path)) > shown, f"{path} is restored")
        self._arrived(path)

    def reload(self) -> None:
        """Load this page again."""
        self.browser.refresh()
        self._arrived(urlsplit(self.browser.current_url).path)

    def route(self, element_id: str, path: str) -> None:
        """Click a button that changes the URL without a navigation."""
        count = len(self._shop.reports("route", path))
        self.click(element_id)
        self.until(lambda: len(self._shop.reports("route", path)) > count, f"the route is {path}")
        self.stay()

    def stay(self) -> None:
        """Let the page be visible for a moment."""
        script = """const [ms, done] = arguments; setTimeout(done, ms)"""
        self.browser.execute_async_script(script, _STAY_MS)

    def scroll(self, part: float) -> None:
        """Scroll to a part of the page's height."""
        script = "scrollTo(0, arguments[0] * document.documentElement.scrollHeight)"
        self.browser.execute_script(script, part)

    def copy(self, element_id: str) -> None:
        """Select the text of an element, and press Ctrl+C."""
        script = "getSelection().selectAllChildren(document.getElementById(arguments[0]))"
        self.browser.execute_script(script, element_id)
        ActionChains(self.browser).key_down(Keys.CONTROL).send_keys("c").key_up(
            Keys.CONTROL
        ).perform()

    def fill(self, values: dict[str, str]) -> None:
        """Fill the fields of a form."""
        for name, value in values.items():
            self.field(name).send_keys(value)

    def field(self, name: str) -> WebElement:
        """Return a field of a form."""
        return self.browser.find_element(By.NAME, name)

    def look_at_another_tab(self, element_id: str | None = None) -> None:
        """Open another tab, by a link of this page or by hand, and return to this one."""
        this, before = self.browser.current_window_handle, set(self.browser.window_handles)
        if element_id is None:
            self.browser.switch_to.new_window("tab")
        else:
            self.click(element_id)
            self.until(lambda: set(self.browser.window_handles) > before, "a tab is opened")
            (other,) = set(self.browser.window_handles) - before
            self.browser.switch_to.window(other)
            loaded = "return location.host !== '' && document.readyState === 'complete'"
            self.until(lambda: self.browser.execute_script(loaded), "the other page is loaded")
        self.stay()
        self.browser.close()
        self.browser.switch_to.window(this)
        visible = "return document.visibilityState === 'visible'"
        self.until(lambda: self.browser.execute_script(visible), "this page is visible again")
        self.stay()

    def leave(self) -> None:
        """Leave the site."""
        hidden = self._count("pagehide"), self._count("visibilitychange")
        self.browser.get("about:blank")
        self.until(lambda: self._count("pagehide") > hidden[0], "the page is left")
        # The last report of a page.
        self.until(lambda: self._count("visibilitychange") > hidden[1], "the page is hidden")

    @staticmethod
    def until(condition: Any, what: str) -> None:
        """Wait for a condition."""
        eventually(condition, within_seconds=_SECONDS, what=what)

    def _arrived(self, path: str) -> None:
        state = "return [location.pathname, document.readyState]"
        expected = [quote(unquote(path)), "complete"]
        self.until(lambda: self.browser.execute_script(state) == expected, f"{path} is loaded")
        self.stay()

    def _time_origin(self) -> float:
        origin: float = self.browser.execute_script("return performance.timeOrigin")
        return origin

    def _restored(self, path: str) -> list[dict[str, Any]]:
        shown = self._shop.reports("pageshow", unquote(path))
        return [one for one in shown if one["persisted"] or isinstance(self.browser, Firefox)]

    def _count(self, kind: str) -> int:
        return sum(report["kind"] == kind for report in self._shop.life)
