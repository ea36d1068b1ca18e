"""The dashboard in a browser."""

import re
import urllib.request
from importlib.resources import files
from typing import Any
from urllib.parse import quote

import pytest
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By

from tests.e2e.stack import Stack
from tests.fixtures.waiting import eventually

PHONE = (390, 844)
DESKTOP = (1400, 900)
#: Each size and each theme once; slow tests have the other combinations.
SCREENS = [
    (PHONE, "dark"),
    (DESKTOP, "light"),
    pytest.param(PHONE, "light", marks=pytest.mark.slow),
    pytest.param(DESKTOP, "dark", marks=pytest.mark.slow),
]

_AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
_AXE_RUN = """
const [done] = arguments;
axe.run().then((results) => done(results), (error) => done({error: `${error}`}));
"""
_STATES = """
window.states = [];
new MutationObserver(() => states.push(document.body.dataset.state)).observe(
  document.body, {attributeFilter: ["data-state"]});
"""


class LivePage:
    """The page of a stack; properties are read from the current document."""

    def __init__(self, chrome: Chrome, stack: Stack) -> None:
        self.chrome = chrome
        self.stack = stack

    @property
    def address(self) -> str:
        """The address with a token, from the last line of the stack's screen."""
        (found,) = re.findall(r"http://\S+\?access_token=\S+", self.stack.screen)
        return str(found)

    def token(self, *options: str) -> str:
        """Return a new token."""
        return self.stack.headrace("tokens", "create", *options).split()[-1]

    def revoke(self, site_id: str) -> None:
        """Revoke the token of this site."""
        listed = self.stack.headrace("tokens", "list")
        (line,) = (line for line in listed.splitlines() if site_id in line.split())
        (token_id,) = re.findall(r"[0-9a-f]{8}-[0-9a-f-]{27}", line)
        self.stack.headrace("tokens", "revoke", token_id)

    def enter(self, token: str) -> None:
        """Type a token into the focused field, and press Enter."""
        field = self.chrome.switch_to.active_element
        assert (field.get_attribute("id"), field.accessible_name) == ("token", "Token")
        field.clear()
        field.send_keys(token, Keys.ENTER)

    def set_screen(
        self, size: tuple[int, int] = DESKTOP, theme: str = "light", motion: str = ""
    ) -> None:
        """Emulate a screen size, a color scheme, and reduced motion."""
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1}
        preferred = {"prefers-color-scheme": theme, "prefers-reduced-motion": motion}
        features = [{"name": name, "value": value} for name, value in preferred.items()]
        self.chrome.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride", {**metrics, "mobile": size == PHONE}
        )
        self.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def open(self, site_id: str) -> None:
        """Send the first event of a site, and open its page."""
        self.post(site_id, "first")
        self.chrome.get(self.address)
        eventually(lambda: site_id in self.sites(), within_seconds=30, what=f"{site_id} is listed")
        self.chrome.get(f"{self.stack.url}/?site={quote(site_id)}")
        eventually(lambda: self.text("#state") == "Live", within_seconds=30, what="it is live")
        eventually(
            lambda: self.text("#visitors") == "1", within_seconds=30, what="one visitor is shown"
        )

    def post(self, site_id: str, session_id: str, **fields: object) -> None:
        """Send an event, by default a pageview."""
        event = {"type": "pageview", "path": "/", "site_id": site_id, "session_id": session_id}
        assert self.stack.post({**event, **fields})[0] == 202

    def sites(self) -> list[str]:
        """Return the sites that the browser's token can access."""
        script = "return fetch('/api/sites').then((response) => response.json())"
        return [item["site_id"] for item in self.chrome.execute_script(script)["items"]]

    def text(self, selector: str) -> str:
        """Return the visible text of an element."""
        return self.chrome.find_element(By.CSS_SELECTOR, selector).text

    def tag(self, selector: str) -> str:
        """Return the tag that is shown in an element; empty before it is shown."""
        shown = self.chrome.find_elements(By.CSS_SELECTOR, f"{selector} .tag code")
        return "".join(element.text for element in shown)

    def rows(self, selector: str) -> list[list[str]]:
        """Return the texts of each row of a list."""
        script = """return [...document.querySelectorAll(`${arguments[0]} > li`)].map(
            (row) => [...row.children].map((part) => part.textContent).filter((text) => text))"""
        found: list[list[str]] = self.chrome.execute_script(script, selector)
        return found

    def minutes(self) -> list[float]:
        """Return the heights of the chart's bars; the maximum is 160."""
        script = """return [...document.querySelectorAll("#minutes rect")].map(
            (minute) => Number(minute.getAttribute("height")))"""
        found: list[float] = self.chrome.execute_script(script)
        return found

    def record_states(self) -> None:
        """Start to record the states of the page's connection."""
        self.chrome.execute_script(_STATES)

    def states(self) -> list[str]:
        """Return the recorded states."""
        found: list[str] = self.chrome.execute_script("return window.states")
        return found

    def console(self) -> list[str]:
        """Return new console messages."""
        return [entry["message"] for entry in self.chrome.get_log("browser")]  # type: ignore[no-untyped-call]

    def hosts(self) -> set[str]:
        """Return the origins of all resources that the page has loaded."""
        script = """return ["navigation", "resource"].flatMap((kind) =>
            performance.getEntriesByType(kind).map((entry) => new URL(entry.name).origin))"""
        return set(self.chrome.execute_script(script))

    def violations(self) -> list[str]:
        """Return the accessibility violations that axe-core finds."""
        self.chrome.execute_script(_AXE)
        results: dict[str, Any] = self.chrome.execute_async_script(_AXE_RUN)
        assert "error" not in results, results
        return [
            f"{rule['id']} at {node['target']}: {node['failureSummary']}"
            for rule in results["violations"]
            for node in rule["nodes"]
        ]

    def show_lost(self) -> None:
        """Show the page as with a lost connection."""
        self.chrome.execute_script("document.body.dataset.state = 'lost'")

    def contrast(self, text: str, background: str) -> float:
        """Return the WCAG 2 contrast of a text on an SVG shape, which axe-core does not check."""
        script = """return [getComputedStyle(document.querySelector(arguments[0])).color,
            getComputedStyle(document.querySelector(arguments[1])).fill]"""
        lights = sorted(map(_luminance, self.chrome.execute_script(script, text, background)))
        return (lights[1] + 0.05) / (lights[0] + 0.05)

    def streams(self) -> float:
        """Return the number of open streams of the stack."""
        with urllib.request.urlopen(f"{self.stack.url}/metrics", timeout=5) as response:  # noqa: S310
            (found,) = re.findall(rb"^headrace_query_streams (\S+)", response.read(), re.MULTILINE)
        return float(found)


def tag_of(page: LivePage, site_id: str, script: str = "script.js") -> str:
    """Return the tag that the page shows for a site."""
    return f'<script defer src="{page.stack.url}/{script}"\n  data-site="{site_id}"></script>'


def _luminance(color: str) -> float:
    """Return the relative luminance of `rgb(r, g, b)`."""
    channels = [int(channel) / 255 for channel in re.findall(r"\d+", color)]
    assert len(channels) == 3, f"{color} is not opaque"
    (red, green, blue) = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
