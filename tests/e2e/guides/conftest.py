"""One stack for all guides; each guide uses its own folder."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
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


_NO_ADDRESSES: Mapping[str, str] = MappingProxyType({})


class OpenGuide(Protocol):
    """Opens a guide; what it started is ended with the test."""

    def __call__(self, name: str, url: str = ..., addresses: Mapping[str, str] = ...) -> Guide:
        """Return the guide, with another URL of headrace, and replacements for other addresses."""


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

    def open_guide(
        name: str, url: str = stack.url, addresses: Mapping[str, str] = _NO_ADDRESSES
    ) -> Guide:
        replaced = {
            "http://127.0.0.1:8080": url,
            "127.0.0.1:9092": stack.kafka,
            **{port: str(free_port()) for port in ("3000", "8000", "8083", "9000")},
            **addresses,
        }
        guides.append(Guide(name, tmp_path, replaced))
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
