"""The screenshot of the README, which `make screenshot` writes."""

import struct

from tests.fixtures.markdown import ROOT

_MAX_BYTES = 200_000


def test_the_screenshot_is_small_and_has_the_documented_size() -> None:
    """A PNG of 1280x800 pixels."""
    picture = (ROOT / "docs" / "images" / "dashboard.png").read_bytes()
    (signature, width, height) = struct.unpack_from(">8s8x2I", picture)

    assert signature == b"\x89PNG\r\n\x1a\n"
    assert (width, height) == (1280, 800)
    assert len(picture) < _MAX_BYTES
