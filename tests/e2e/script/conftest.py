"""One browser for all tests of the script; each test has a separate site."""

from collections.abc import Iterator

import pytest
from selenium.webdriver import Chrome

from tests.e2e.script.pages import Pages, serving
from tests.fixtures import chromium


@pytest.fixture(scope="package")
def browser() -> Iterator[Chrome]:
    """Yield a browser."""
    with chromium.started() as chrome:
        yield chrome


@pytest.fixture
def chrome(browser: Chrome) -> Iterator[Chrome]:
    """Yield the browser with an empty page in one tab."""
    yield browser
    first, *others = browser.window_handles
    for handle in others:
        browser.switch_to.window(handle)
        browser.close()
    browser.switch_to.window(first)
    browser.get("about:blank")


@pytest.fixture
def pages(chrome: Chrome) -> Iterator[Pages]:
    """Yield a site on a new origin, whose storage is therefore empty."""
    del chrome  # it leaves the site first
    with serving() as pages:
        yield pages
