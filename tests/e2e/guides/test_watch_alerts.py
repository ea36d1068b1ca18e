"""The guide to live counters and alerts: streams in a shell and a browser, and webhooks."""

import re

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from tests.e2e.guides.conftest import OpenGuide
from tests.e2e.stack import Stack
from tests.fixtures.waiting import eventually

pytestmark = pytest.mark.timeout(900)

GUIDE = "watch-alerts.md"
SLOW = ("Node.js", "Go", "Java")


def test_commands_print_the_documented_output(open_guide: OpenGuide) -> None:
    """A payment becomes an alert, which the stream of alerts sends."""
    open_guide(GUIDE).run("From a shell")


def test_a_page_of_the_same_origin_reads_both_streams(
    open_guide: OpenGuide, chrome: Chrome, stack: Stack
) -> None:
    """It is authorized by the cookie that opening the dashboard sets."""
    guide = open_guide(GUIDE)
    guide.run("From a shell")
    guide.run("On a page behind headrace's address")
    chrome.get(f"{stack.url}/?access_token={(stack.data_dir / 'owner.token').read_text().strip()}")
    chrome.get(f"{stack.url}/healthz")

    chrome.execute_script((guide.folder / "same-origin.js").read_text("utf-8"))

    eventually(
        lambda: re.fullmatch(r"[1-9]\d* visitors now", chrome.title),
        within_seconds=60,
        what="the title has the number of visitors",
    )
    eventually(
        lambda: "Payment of 49.90 EUR" in chrome.find_element(By.TAG_NAME, "body").text,
        within_seconds=60,
        what="the page has the alert",
    )
    assert int(chrome.execute_script("return localStorage.lastAlert")) > 0


def test_a_page_of_another_site_reads_the_stream_through_its_server(
    open_guide: OpenGuide, chrome: Chrome
) -> None:
    """The token stays on the server."""
    guide = open_guide(GUIDE)
    guide.run("From a shell")
    guide.run("On a page of your own site")

    chrome.get(f"http://127.0.0.1:{guide.address('3000')}/")

    eventually(
        lambda: re.fullmatch(r"[1-9]\d*", chrome.find_element(By.ID, "visitors").text),
        within_seconds=60,
        what="the page has the number of visitors",
    )
    assert "hr_" not in chrome.page_source


@pytest.mark.parametrize(
    "language", ["Python", *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]
)
def test_a_receiver_accepts_signed_messages_only(open_guide: OpenGuide, language: str) -> None:
    """A test message is received; one with a wrong signature is rejected with 401."""
    guide = open_guide(GUIDE)
    guide.run("Create a webhook")
    guide.run(f"Receive in {language}")

    guide.run("Try it")
