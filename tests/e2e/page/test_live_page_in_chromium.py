"""The dashboard in Chromium, on a real stack."""

import os
import signal
from typing import Any
from uuid import UUID

import pytest
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select

from schemas.codec import encode
from schemas.headers import EVENT_ID
from schemas.topics import EVENTS_RAW
from tests.e2e.page.live_page import SCREENS, LivePage, tag_of
from tests.e2e.poison import Poison, new_event, valid_headers, write
from tests.fixtures.waiting import eventually

pytestmark = pytest.mark.timeout(180)


def test_the_address_on_the_screen_opens_the_page(page: LivePage) -> None:
    """Without a token the page asks for one; with it, the page shows the tag of a first site."""
    page.chrome.get(page.stack.url)
    eventually(
        lambda: "needs a token" in page.text("#locked"),
        within_seconds=30,
        what="it asks for a token",
    )
    assert page.violations() == []
    assert all("401" in message for message in page.console())

    page.chrome.get(page.address)
    eventually(
        lambda: page.tag("#empty") == tag_of(page, "my-site"),
        within_seconds=30,
        what="the page shows the tag",
    )
    assert page.violations() == []

    page.post("begun", "s1")
    eventually(
        lambda: page.text("#visitors") == "1",
        within_seconds=30,
        what="the page shows the first event",
    )
    assert page.text("#only-site") == "begun"
    assert "The first event of this site has arrived: Page view /" in page.text("#first-event")


def test_the_token_is_moved_from_the_address_to_a_cookie(page: LivePage) -> None:
    """It is not in the history; the cookie is HttpOnly and SameSite=Strict."""
    page.chrome.get(page.address)
    token = page.address.partition("access_token=")[2]

    history = page.chrome.execute_cdp_cmd("Page.getNavigationHistory", {})
    assert page.chrome.current_url == f"{page.stack.url}/"
    assert token not in str([entry["url"] for entry in history["entries"]])
    assert page.chrome.execute_script("return document.cookie") == ""
    (cookie,) = page.chrome.get_cookies()
    assert (cookie["value"], cookie["httpOnly"], cookie["sameSite"]) == (token, True, "Strict")


def test_everything_is_updated_by_events(page: LivePage) -> None:
    """Visitors, chart, pages, referrers, events and alerts; nothing is loaded from elsewhere."""
    page.open("moving")
    bought = {"type": "payment", "amount": 49, "currency": "EUR", "path": "/pay"}
    page.post("moving", "first", path="/shoes", referrer="https://search.example/?q=shoes")
    page.post("moving", "second", visitor_id="v", path="/shoes")
    page.post("moving", "third", visitor_id="v", path="/hats")
    page.post("moving", "third", visitor_id="v", **bought)

    def is_shown(selector: str, *rows: list[str]) -> None:
        eventually(
            lambda: page.rows(selector) == list(rows),
            within_seconds=30,
            what=f"{selector} shows {rows}, not {page.rows(selector)}",
        )

    is_shown("#events", ["Page views", "4"], ["Payments", "1"])
    is_shown("#pages", ["/shoes", "2"], ["/hats", "1"])
    is_shown("#referrers", ["search.example", "1"])
    assert (page.text("#visitors"), page.text("#sessions")) == ("2", "3 sessions")
    assert page.chrome.title == "2 now · moving"
    assert sorted(row[1:] for row in page.rows("#latest")) == [
        ["Page view", "/"],
        ["Page view", "/hats"],
        ["Page view", "/shoes"],
        ["Page view", "/shoes"],
        ["Payment", "49.00 EUR"],
    ]
    # Five events within one or two minutes; the scale ends at 6 or 4.
    assert len(page.minutes()) == 30
    assert sum(page.minutes()) in (pytest.approx(5 / 6 * 160), pytest.approx(5 / 4 * 160))
    eventually(lambda: len(page.rows("#alerts")[0]) == 3, within_seconds=30, what="an alert")
    assert page.rows("#alerts")[0][:2] == ["Payment", "Payment of 49.00 EUR"]
    assert page.hosts() == {page.stack.url}


def test_sources_countries_and_devices_are_shown(page: LivePage) -> None:
    """Countries by name; what is no code is shown as it is. Written to Kafka as by the API."""
    page.open("derived")
    fields: dict[str, Any] = {"site_id": "derived", "type": "pageview", "source": "Google"}
    made = [
        new_event(**fields, session_id="second", country="AT", device="tv"),
        new_event(**fields, session_id="third", country="AT", device="mobile"),
        new_event(**fields, session_id="fourth", country="T1", device="mobile"),
    ]
    headers = valid_headers(b"pageview")
    records = [
        Poison(
            one.session_id,
            EVENTS_RAW.name,
            f"derived:{one.session_id}".encode(),
            encode(one),
            {**headers, EVENT_ID: UUID(one.event_id).bytes},
        )
        for one in made
    ]

    write(page.stack.kafka, records)

    expected = {
        "#countries": [["Austria", "2"], ["T1", "1"]],
        "#devices": [["Mobile", "2"], ["Other", "1"], ["TV", "1"]],  # that of the first event
        "#sources": [["Google", "3"]],
    }
    eventually(
        lambda: {name: page.rows(name)[: len(rows)] for name, rows in expected.items()} == expected,
        within_seconds=30,
        what=f"the page shows {expected}",
    )
    assert page.violations() == []


def test_the_page_reconnects_after_a_restart_of_the_server(page: LivePage) -> None:
    """It reports the lost connection, and then shows everything, including a missed alert."""
    page.open("restarted")
    page.record_states()
    streams = page.stack.pid("streams")
    assert streams is not None
    os.kill(streams, signal.SIGSTOP)
    try:
        page.post("restarted", "second", type="error", error_message="It broke")
        page.stack.kill("web")
    finally:
        os.kill(streams, signal.SIGCONT)

    eventually(
        lambda: page.states()[-1:] == ["live"], within_seconds=60, what="the page is live again"
    )
    assert "lost" in page.states()
    eventually(
        lambda: page.text("#visitors") == "2", within_seconds=30, what="the number is updated"
    )
    eventually(lambda: "It broke" in page.text("#alerts"), within_seconds=30, what="the alert")
    assert all("net::ERR" in message or "503" in message for message in page.console())


def test_the_page_reports_stalled_counting(page: LivePage) -> None:
    """If the role `live` has stopped; afterwards it shows the events of the meantime."""
    page.open("stalled")
    live = page.stack.pid("live")
    assert live is not None
    os.kill(live, signal.SIGSTOP)
    try:
        page.post("stalled", "second")
        eventually(
            lambda: page.text("#state").startswith("Counters stalled since "),
            within_seconds=30,
            what="the page reports stalled counting",
        )
        assert page.violations() == []
    finally:
        os.kill(live, signal.SIGCONT)

    eventually(
        lambda: page.text("#state") == "Live", within_seconds=60, what="the page is live again"
    )
    eventually(
        lambda: page.text("#visitors") == "2", within_seconds=30, what="the number is updated"
    )


def test_a_site_can_be_selected_by_keyboard(page: LivePage) -> None:
    """After the skip link; the address keeps the selection."""
    page.open("keys-b")
    page.post("keys-b", "second")
    page.open("keys-a")
    ActionChains(page.chrome).send_keys(Keys.TAB).perform()
    assert page.chrome.switch_to.active_element.text == "Skip to main content"
    ActionChains(page.chrome).send_keys(Keys.TAB).perform()
    chosen = page.chrome.switch_to.active_element
    assert (chosen.get_attribute("id"), chosen.accessible_name) == ("site", "Site")

    chosen.send_keys("keys-b", Keys.ENTER)

    eventually(
        lambda: page.text("#visitors") == "2", within_seconds=30, what="the other site's number"
    )
    page.chrome.refresh()
    eventually(
        lambda: page.text("#visitors") == "2", within_seconds=30, what="the selection is kept"
    )
    picker = Select(page.chrome.find_element(By.ID, "site"))
    assert picker.first_selected_option.text == "keys-b"


@pytest.mark.parametrize(("size", "theme"), SCREENS)
def test_the_page_is_accessible(page: LivePage, size: tuple[int, int], theme: str) -> None:
    """axe-core finds no violation, including contrast; long names do not overflow a phone."""
    site_id = f"a-site-with-a-name-of-its-own-{theme}-{size[0]}".ljust(64, "-")
    page.set_screen(size, theme)
    page.open(site_id)
    page.post(site_id, "s2", path=f"/{'long' * 50}", referrer=f"https://{'long' * 15}.example/")
    page.post(site_id, "s2", type="payment", amount=1, currency="EUR")
    page.post(site_id, "s2", type="error", error_message="unbroken" * 40)
    eventually(lambda: len(page.rows("#alerts")) == 2, within_seconds=30, what="two alerts")

    assert page.violations() == []
    assert page.contrast("#pages .name", "#pages rect") >= 4.5
    page.show_lost()
    assert page.violations() == []
    wide = "return document.documentElement.scrollWidth"
    assert page.chrome.execute_script(wide) <= size[0]


def test_reduced_motion_disables_animations(page: LivePage) -> None:
    """Numbers change without animations."""
    page.set_screen(motion="reduce")
    page.open("still")
    page.post("still", "second")
    eventually(lambda: page.text("#visitors") == "2", within_seconds=30, what="a number changes")

    assert page.chrome.execute_script("return document.getAnimations().length") == 0


def test_a_hidden_tab_closes_its_connections(page: LivePage) -> None:
    """A browser has six per origin; a visible tab reconnects and is up to date."""
    page.open("unseen")
    here = page.chrome.current_window_handle
    page.chrome.switch_to.new_window("tab")
    eventually(lambda: page.streams() == 0, within_seconds=30, what="the streams are closed")
    page.post("unseen", "second")
    page.chrome.close()
    page.chrome.switch_to.window(here)

    eventually(
        lambda: page.text("#visitors") == "2", within_seconds=30, what="the number is updated"
    )
