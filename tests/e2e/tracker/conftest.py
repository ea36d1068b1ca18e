"""A browser for each visit."""

from collections.abc import Iterator

import pytest
from selenium.webdriver import Chrome

from tests.fixtures import chromium


@pytest.fixture
def chrome() -> Iterator[Chrome]:
    """Yield a new browser."""
    with chromium.started() as chrome:
        yield chrome


@pytest.fixture
def private_chrome() -> Iterator[Chrome]:
    """Yield a new browser that asks not to be tracked."""
    with chromium.started(preferences={"enable_do_not_track": True}) as chrome:
        yield chrome
