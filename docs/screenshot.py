"""`python -m docs.screenshot` (`make screenshot`): write docs/images/dashboard.png.

Starts `headrace up` and `headrace demo` in a temporary directory, and takes the picture when the
dashboard shows visitors, pages and alerts.
"""

import argparse
import base64
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from selenium.webdriver.support.wait import WebDriverWait

from tests.e2e.page.live_page import LivePage
from tests.e2e.stack import Stack
from tests.fixtures import chromium

DASHBOARD = Path(__file__).parent / "images" / "dashboard.png"

#: The page at 80 %, so that the alerts are in the picture, which has 1280x800 pixels.
_SCREEN = {"width": 1600, "height": 1000, "deviceScaleFactor": 0.8, "mobile": False}
_LIGHT = [{"name": "prefers-color-scheme", "value": "light"}]
#: The demo has a bad release in its second minute, which raises alerts.
_MAX_SECONDS = 300
_ALERTS = 3


def main() -> None:
    """Write the screenshot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1, help="traffic before the screenshot")
    minutes = parser.parse_args().minutes
    with TemporaryDirectory() as folder, _demo(Path(folder) / "data") as stack:
        time.sleep(minutes * 60)
        with chromium.started() as chrome:
            page = LivePage(chrome, stack)
            chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", _SCREEN)
            chrome.execute_cdp_cmd("Emulation.setScrollbarsHidden", {"hidden": True})
            chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": _LIGHT})
            chrome.get(page.address)
            wait = WebDriverWait(chrome, _MAX_SECONDS, poll_frequency=1)
            picture = wait.until(lambda _: _picture(page), "no visitors, pages or alerts are shown")
    DASHBOARD.write_bytes(picture)


@contextmanager
def _demo(data_dir: Path) -> Iterator[Stack]:
    """Yield a stack with simulated visitors."""
    stack = Stack(data_dir)
    try:
        stack.start()
        argv = ["demo", "--data-dir", str(data_dir)]
        with subprocess.Popen(  # noqa: S603 - ours
            [sys.executable, "-m", "headrace", *argv], stdout=subprocess.DEVNULL
        ) as demo:
            try:
                yield stack
            finally:
                demo.terminate()
    finally:
        stack.end()


def _picture(page: LivePage) -> bytes:
    """Return a PNG of the page if it shows visitors, pages, referrers and alerts, else nothing."""
    is_filled = (
        int(page.text("#visitors") or 0) > 0
        and all(map(page.rows, ("#pages", "#referrers", "#events", "#latest")))
        and len(page.rows("#alerts")) >= _ALERTS
    )
    answer = page.chrome.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
    is_live = page.text("#state") == "Live"
    return base64.b64decode(answer["data"]) if is_filled and is_live else b""


if __name__ == "__main__":
    main()
