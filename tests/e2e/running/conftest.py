"""One stack for all tests of this package, each of which uses its own site."""

from collections.abc import Iterator

import pytest

from tests.e2e.stack import Stack


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Yield a running stack, which may send webhooks to this machine."""
    settings = {"HEADRACE_WEBHOOKS__ALLOW_PRIVATE": "true"}
    stack = Stack(tmp_path_factory.mktemp("running") / "data", settings)
    try:
        stack.start()
        yield stack
    finally:
        stack.end()
