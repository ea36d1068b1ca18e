"""One stack and one browser for all tests of the dashboard; each test uses its own sites."""

from collections.abc import Iterator

import pytest

from tests.e2e.page.live_page import LivePage
from tests.e2e.stack import Stack
from tests.fixtures import chromium


@pytest.fixture(scope="package")
def live_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePage]:
    """Yield the page of a new stack in a new browser."""
    stack = Stack(tmp_path_factory.mktemp("page") / "data")
    try:
        with chromium.started() as chrome:
            stack.start()
            yield LivePage(chrome, stack)
    finally:
        stack.end()


@pytest.fixture
def page(live_page: LivePage) -> Iterator[LivePage]:
    """Yield the page; fail if the test leaves messages in the console."""
    live_page.set_screen()
    live_page.chrome.get("about:blank")
    live_page.console()
    yield live_page
    assert live_page.console() == []
