"""The guide to sending events: its commands, programs and page send them to a real stack."""

from datetime import datetime, timedelta

import pytest
from selenium.common import WebDriverException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from tests.e2e.guides.conftest import OpenGuide
from tests.e2e.guides.flaky_proxy import flaky_proxy
from tests.e2e.stack import Stack
from tests.fixtures.waiting import eventually

pytestmark = pytest.mark.timeout(900)

GUIDE = "send-events.md"
SLOW = ("Node.js", "Go", "Java")


@pytest.mark.parametrize("section", ["With curl", "Retries count once", "Batches"])
def test_commands_print_the_documented_output(open_guide: OpenGuide, section: str) -> None:
    """The commands of a section print what follows them in the guide."""
    open_guide(GUIDE).run(section)


def test_a_wrong_clock_is_corrected_by_sent_at(open_guide: OpenGuide, stack: Stack) -> None:
    """The event of the guide is stored as an hour old, as documented."""
    open_guide(GUIDE).run("Times")

    query = "SELECT event_ts, received_at FROM events WHERE site_id = 'my-site' AND session_id = ?"
    (row,) = eventually(
        lambda: stack.rows(query, ["s2"]), within_seconds=60, what="the event is stored"
    )
    (event_ts, received_at) = (datetime.fromisoformat(row[name]) for name in row)
    assert received_at - event_ts == timedelta(hours=1)


@pytest.mark.parametrize(
    "language", ["Python", *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]
)
def test_a_program_retries_until_accepted_and_counts_once(
    open_guide: OpenGuide, stack: Stack, language: str
) -> None:
    """The response to its first attempts is lost: it sends both events again, with their ids.

    An event that is rejected is not sent a third time.
    """
    with flaky_proxy(stack.url) as proxy:
        open_guide(GUIDE, url=proxy.url).run(f"From {language}")

    assert list(proxy.requests.values()) == [2, 2]
    (accepted, rejected) = proxy.requests
    query = "SELECT event_id, amount FROM events WHERE event_id IN (?, ?)"
    (row,) = eventually(
        lambda: stack.rows(query, [accepted, rejected]),
        within_seconds=60,
        what="the event is stored",
    )
    assert row == {"event_id": accepted, "amount": "49.900000"}


@pytest.fixture
def page(open_guide: OpenGuide, chrome: Chrome) -> str:
    """Serve the page of the guide, and return its address."""
    guide = open_guide(GUIDE)
    guide.run("From a browser page")
    url = f"http://127.0.0.1:{guide.address('8000')}/page.html"
    eventually(
        lambda: _opens(chrome, url), within_seconds=60, what=f"{url} is served, and has the button"
    )
    return url


def test_a_page_sends_views_clicks_and_time_on_page(
    page: str, chrome: Chrome, stack: Stack
) -> None:
    """Time on page is sent by a beacon when the page is left."""
    session = chrome.execute_script("return sessionStorage.session")
    chrome.find_element(By.ID, "buy").click()
    _until_sent(stack, session, ["button_click", "pageview"])

    chrome.get("about:blank")

    _until_sent(stack, session, ["button_click", "pageleave", "pageview"])
    query = "SELECT url, duration_ms FROM events WHERE session_id = ? AND type = 'pageleave'"
    (row,) = stack.rows(query, [session])
    assert row["url"] == page
    assert row["duration_ms"] > 0


def test_a_page_sends_events_again_that_were_not_accepted(
    page: str, chrome: Chrome, stack: Stack
) -> None:
    """A click while headrace cannot be reached is sent with the next page."""
    session = chrome.execute_script("return sessionStorage.session")
    _until_sent(stack, session, ["pageview"])
    chrome.execute_cdp_cmd("Network.enable", {})
    chrome.execute_cdp_cmd("Network.setBlockedURLs", {"urls": [f"{stack.url}/*"]})
    chrome.find_element(By.ID, "buy").click()
    eventually(
        lambda: chrome.execute_script("return localStorage.queue"),
        within_seconds=60,
        what="the click is queued",
    )
    chrome.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})

    chrome.refresh()

    _until_sent(stack, session, ["button_click", "pageview", "pageview"])
    eventually(
        lambda: chrome.execute_script("return localStorage.queue") is None,
        within_seconds=60,
        what="the queue is empty",
    )


def _opens(chrome: Chrome, url: str) -> bool:
    """Open the page; return False if it is not served yet."""
    try:
        chrome.get(url)
    except WebDriverException:
        return False
    return True


def _until_sent(stack: Stack, session: str, types: list[str]) -> None:
    """Wait until a session has events of these types, besides page leaves."""
    query = "SELECT type FROM events WHERE session_id = ? ORDER BY type"

    def are_stored() -> bool:
        found = [row["type"] for row in stack.rows(query, [session])]
        if "pageleave" not in types:
            found = [name for name in found if name != "pageleave"]
        return found == types

    eventually(are_stored, within_seconds=60, what=f"{session} has {types}")
