"""A visit of the demo site: clicks from page to page in a separate browser context."""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any
from urllib.parse import urlencode

from headrace.traffic.browser.devtools import DevTools, DevToolsError
from headrace.traffic.demo import shop

_MAX_PAGES = 12
_LEAVE_RATE = 0.12
#: Where a visitor goes on, if the page has it, instead of anywhere.
_NEXT = ".next, [data-goto]"
_NEXT_RATE = 0.4
_READ_SECONDS = (0.8, 4.0)
#: For the last requests of a page, before its browser context is closed.
_CLOSE_SECONDS = 1.0

#: Scrolls to an element, and returns the point to click and its text.
_TARGET = """(selector, choice) => {
  const shown = [...document.querySelectorAll(selector)].filter((one) => one.checkVisibility());
  const element = shown[Math.floor(choice * shown.length)];
  if (!element) return null;
  element.scrollIntoView({block: "center"});
  const box = element.getClientRects()[0];
  const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
  return {x, y, text: element.textContent.trim()};
}"""


class Visit:
    """A visitor; `show` is called with what the visitor does."""

    def __init__(
        self, devtools: DevTools, site: str, random: Random, show: Callable[[str], None]
    ) -> None:
        self._devtools = devtools
        self._site = site
        self._random = random
        self._show = show
        self._session = ""

    async def run(self) -> None:
        """Arrive from a traffic source, click until it is enough, and leave."""
        call = self._devtools.call
        context = await call("Target.createBrowserContext")
        target = await call("Target.createTarget", url="about:blank", newWindow=True, **context)
        await call("Browser.setDownloadBehavior", behavior="deny", **context)
        self._session = (await call("Target.attachToTarget", flatten=True, **target))["sessionId"]
        await self._walk()
        await self._call("Page.navigate", url="about:blank")
        await asyncio.sleep(_CLOSE_SECONDS)
        await call("Target.disposeBrowserContext", **context)

    async def _walk(self) -> None:
        origin = self._random.choices(shop.ORIGINS, [one.weight for one in shop.ORIGINS])[0]
        url = self._site + self._random.choice(origin.entries)
        query = {f"utm_{name}": value for name, value in (origin.utm or {}).items()}
        if origin.click_id:
            query[origin.click_id] = f"demo-{self._random.getrandbits(48):x}"
        if query:
            url += f"?{urlencode(query)}"
        # A page with HTTPS would send no referrer to the site, which has none.
        referrer = (origin.referrer or "").replace("https:", "http:")
        self._show(f"arrives from {referrer}" if referrer else "arrives")
        await self._call("Page.navigate", url=url, referrer=referrer)
        for _ in range(_MAX_PAGES):
            await asyncio.sleep(self._random.uniform(*_READ_SECONDS))
            wants_more = self._random.random() > _LEAVE_RATE
            if not wants_more or not await self._click():
                return

    async def _click(self) -> bool:
        """Click an element of the page; return False if it has none."""
        goes_on = self._random.random() < _NEXT_RATE
        target = await self._find(_NEXT) if goes_on else None
        target = target or await self._find("a[href], button")
        if target is None:
            return False
        self._show(f"clicks “{target.pop('text')}”")
        for kind in ("mousePressed", "mouseReleased"):
            await self._call(
                "Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **target
            )
        return True

    async def _find(self, selector: str) -> dict[str, Any] | None:
        expression = f"({_TARGET})({selector!r}, {self._random.random()})"
        try:
            found = await self._call("Runtime.evaluate", expression=expression, returnByValue=True)
        except DevToolsError:  # while another page is loaded
            return None
        value: dict[str, Any] | None = found["result"].get("value")
        return value

    async def _call(self, method: str, **params: Any) -> dict[str, Any]:
        return await self._devtools.call(method, self._session, **params)
