"""One stack and one browser for all tests of the live page; each test has sites of its own."""

from collections.abc import Iterator

import pytest

from tests.e2e.page.live_page import LivePage
from tests.e2e.stack import Stack
from tests.fixtures import chromium


@pytest.fixture(scope="package")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePage]:
    """Give the page of a stack that nothing has come to, and a browser that was nowhere yet."""
    stack = Stack(tmp_path_factory.mktemp("page") / "data")
    try:
        with chromium.started() as chrome:
            stack.start()
            yield LivePage(chrome, stack)
    finally:
        stack.end()


@pytest.fixture
def page(shown: LivePage) -> Iterator[LivePage]:
    """Give the page, which must have said nothing in the console when the test ends."""
    shown.look()
    shown.chrome.get("about:blank")
    shown.console()
    yield shown
    assert shown.console() == []
