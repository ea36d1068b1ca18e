"""A browser for each visit."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.remote.webdriver import WebDriver

from tests.fixtures import chromium, firefox

#: `chromium` (default) or `firefox`, for the scripted visits.
VARIABLE = "HEADRACE_TEST_BROWSER"


@pytest.fixture
def chrome() -> Iterator[Chrome]:
    """Yield a new Chromium."""
    with chromium.started() as chrome:
        yield chrome


@pytest.fixture
def browser() -> Iterator[WebDriver]:
    """Yield a new browser."""
    with _started(is_private=False) as browser:
        yield browser


@pytest.fixture
def private_browser() -> Iterator[WebDriver]:
    """Yield a new browser that asks not to be tracked: by DNT, or by GPC in Firefox."""
    with _started(is_private=True) as browser:
        yield browser


def _started(*, is_private: bool) -> AbstractContextManager[WebDriver]:
    if os.environ.get(VARIABLE, "chromium") == "firefox":
        return firefox.started({"privacy.globalprivacycontrol.enabled": is_private})
    return chromium.started(preferences={"enable_do_not_track": is_private})
