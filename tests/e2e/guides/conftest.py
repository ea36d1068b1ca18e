"""One stack for all guides; each guide uses its own folder."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
from selenium.webdriver import Chrome

from headrace.local.broker.ports import free_port
from tests.e2e.guides.guide import Guide
from tests.e2e.stack import Stack
from tests.fixtures import chromium

_SETTINGS = {
    "HEADRACE_WEBHOOKS__ALLOW_PRIVATE": "true",
    # Consumers soon meet punctuation records.
    "HEADRACE_STREAMS__TICK_SECONDS": "0.5",
}


class OpenGuide(Protocol):
    """Opens a guide; what it started is ended with the test."""

    def __call__(self, name: str, url: str = ...) -> Guide:
        """Return the guide, with another URL of headrace than that of the stack."""


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Yield a new stack."""
    stack = Stack(tmp_path_factory.mktemp("guides") / ".headrace", _SETTINGS)
    try:
        stack.start()
        yield stack
    finally:
        stack.end()


@pytest.fixture
def open_guide(stack: Stack, tmp_path: Path) -> Iterator[OpenGuide]:
    """Yield a function that opens guides in the test's folder."""
    guides: list[Guide] = []
    (tmp_path / ".headrace").symlink_to(stack.data_dir)

    def open_guide(name: str, url: str = stack.url) -> Guide:
        addresses = {
            "http://127.0.0.1:8080": url,
            "127.0.0.1:9092": stack.kafka,
            **{port: str(free_port()) for port in ("3000", "8000", "9000")},
        }
        guides.append(Guide(name, tmp_path, addresses))
        return guides[-1]

    yield open_guide
    for guide in guides:
        guide.close()


@pytest.fixture(scope="package")
def started_chrome() -> Iterator[Chrome]:
    """Yield a browser."""
    with chromium.started() as chrome:
        yield chrome


@pytest.fixture
def chrome(started_chrome: Chrome) -> Iterator[Chrome]:
    """Yield the browser; the page is left after the test."""
    yield started_chrome
    started_chrome.get("about:blank")
