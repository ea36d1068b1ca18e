"""Find, start and stop a Chromium that is controlled by the DevTools protocol."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp

from headrace.errors import UserError
from headrace.local.process import spawn, terminate
from headrace.traffic.browser.devtools import DevTools

#: Names another browser, as for Lighthouse and Puppeteer's launcher.
VARIABLE = "CHROME_PATH"
_NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "microsoft-edge",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
#: Says what it is, as that of the other demo; without "Headless", by which servers recognize bots.
_USER_AGENT = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/150.0.0.0 Safari/537.36 headrace-demo/1.0 (simulated visitor)"
)
_ARGUMENTS = (
    "--headless=new",
    "--remote-debugging-port=0",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--window-size=1280,800",
    f"--user-agent={_USER_AGENT}",
)
_START_SECONDS = 60.0
_STOP_SECONDS = 5.0
_POLL_SECONDS = 0.05


def find() -> str:
    """Return the path of an installed browser. Raises `UserError` if there is none."""
    named = os.environ.get(VARIABLE)
    if found := next(filter(None, map(shutil.which, [named] if named else _NAMES)), None):
        return found
    if named:
        raise UserError(f"{VARIABLE} names {named}, which cannot be run")
    raise UserError(
        "No Chromium or Chrome was found. Install one (Debian and Ubuntu: apt install chromium; "
        f"macOS: brew install --cask google-chrome), or name its program in {VARIABLE}"
    )


@asynccontextmanager
async def started(path: str) -> AsyncIterator[DevTools]:
    """Yield the connection to a new headless browser with an empty profile."""
    with TemporaryDirectory(prefix="headrace-demo-", ignore_cleanup_errors=True) as folder:
        process = spawn(_command(path, folder), log=Path(folder) / "browser.log")
        try:
            url = await _devtools_url(process, Path(folder))
            async with (
                aiohttp.ClientSession() as session,
                session.ws_connect(url, max_msg_size=0) as socket,
            ):
                try:
                    yield DevTools(socket)
                finally:
                    await _close(socket, process)
        finally:
            terminate(process, _STOP_SECONDS)


async def _close(socket: aiohttp.ClientWebSocketResponse, process: subprocess.Popen[bytes]) -> None:
    """Let the browser end and remove its temporary files; no longer than `_STOP_SECONDS`."""
    with suppress(ConnectionError):
        await socket.send_json({"id": 0, "method": "Browser.close"})
    with suppress(subprocess.TimeoutExpired):
        await asyncio.to_thread(process.wait, _STOP_SECONDS)


def _command(path: str, folder: str) -> list[str]:
    # Chromium's sandbox does not work as root.
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    return [path, *_ARGUMENTS, *sandbox, f"--user-data-dir={folder}/profile", "about:blank"]


async def _devtools_url(process: subprocess.Popen[bytes], folder: Path) -> str:
    """Wait for the file in which the browser publishes its port."""
    published = folder / "profile" / "DevToolsActivePort"
    try:
        async with asyncio.timeout(_START_SECONDS):
            while len(lines := _lines(published)) < 2:  # noqa: PLR2004 - port and path
                if process.poll() is not None:
                    last = (_lines(folder / "browser.log") or ["no output"])[-1]
                    raise UserError(f"The browser {process.args!r} did not start: {last}")
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        raise UserError(f"The browser did not start within {_START_SECONDS:g} s") from None
    return f"ws://127.0.0.1:{lines[0]}{lines[1]}"


def _lines(path: Path) -> list[str]:
    return path.read_text(errors="replace").splitlines() if path.exists() else []
