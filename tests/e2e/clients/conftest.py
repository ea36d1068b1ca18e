"""A server with a Kafka in memory, and pages of another origin with a published client."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from selenium.webdriver import Chrome

from schemas.records import RawEvent
from tests.e2e.clients import packages
from tests.e2e.clients.server import Server
from tests.fixtures import chromium
from tests.fixtures.serving import served
from tests.fixtures.static_files import served_folder
from tests.fixtures.waiting import eventually

#: Opens a page with a script and its packages, as `packages.bundle`; returns the browser.
OpenPage = Callable[..., Chrome]

#: A test runs with all requests accepted, and with a 503 for the first.
after_failures = pytest.mark.parametrize("failures", [0, 1])

_SECONDS = 60.0
_PAGE = (
    '<!doctype html><title>{0}</title><link rel="icon" href="data:,">'
    '<script src="client.js"></script>'
)


@pytest.fixture
def server() -> Iterator[Server]:
    """Yield a running server."""
    server = Server()
    with served(server.started()) as url:
        server.url = url
        yield server


@pytest.fixture
def open_page(server: Server, tmp_path: Path) -> Iterator[OpenPage]:
    """Yield a function that opens `/first.html`, which has the same script as `/second.html`."""
    with ExitStack() as stack:

        def open_(script: str, *names: str) -> Chrome:
            packages.bundle(script, tmp_path, server.url, *names)
            for name in ("first", "second"):
                (tmp_path / f"{name}.html").write_text(_PAGE.format(name.title()))
            chrome = stack.enter_context(chromium.started())
            chrome.get(f"{stack.enter_context(served_folder(tmp_path))}/first.html")
            return chrome

        yield open_


def expect_statuses(server: Server, expected: list[int]) -> None:
    """Wait until the responses to POST requests have these statuses, in ascending order.

    An event is in Kafka before its response is sent.
    """
    eventually(
        lambda: sorted(server.statuses()) == expected,
        within_seconds=_SECONDS,
        what=f"the statuses of all responses are {expected}",
    )


def events_of_two_pages(server: Server, chrome: Chrome) -> list[RawEvent]:
    """Open the second page when the events of the first are stored; return those of both.

    On each, the client identifies its user, and reports a page view and a payment.
    """
    server.wait_for(3)
    chrome.get(chrome.current_url.replace("first", "second"))
    events = server.wait_for(6)
    assert problems(chrome) == []
    types = sorted(event.type for event in events)
    assert types == [*2 * ["identify"], *2 * ["pageview"], *2 * ["payment"]]
    return events


def problems(chrome: Chrome) -> list[str]:
    """Return the errors in the browser's console, without those of the network."""
    return [
        entry["message"]
        for entry in chrome.get_log("browser")  # type: ignore[no-untyped-call]
        if entry["level"] == "SEVERE" and entry["source"] != "network"
    ]
