"""Run the demo with a browser until it is cancelled."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from html import escape
from http import HTTPStatus
from random import Random

import aiohttp

from headrace.errors import UserError
from headrace.traffic.browser.chromium import find, started
from headrace.traffic.browser.devtools import BrowserGoneError, DevTools
from headrace.traffic.browser.site import served
from headrace.traffic.browser.visit import Visit
from headrace.traffic.replay.endpoint import endpoint

_VISITORS = 3
_REQUEST_SECONDS = aiohttp.ClientTimeout(10)


async def browse(
    base: str, site_id: str, announce: Callable[[str], None], show: Callable[[str], None]
) -> None:
    """Visit the demo site, whose pages have the tag of a server; `announce` gets its URL.

    `show` is called with what visitors do. Raises `UserError` if there is no browser, or if the
    server does not serve the script, or does not accept events of the site.
    """
    path = find()
    script = f"{endpoint(base).shown}/script.full.js"
    await _check(script)
    tag = f'<script defer src="{escape(script)}" data-site="{escape(site_id)}"></script>'
    async with served(tag) as url:
        await _check_site(endpoint(base).shown, site_id, url)
        async with started(path) as devtools:
            announce(url)
            await _visit(devtools, url, show)


async def _visit(devtools: DevTools, url: str, show: Callable[[str], None]) -> None:
    """Keep visiting a site until the browser ends, which raises `UserError`."""
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(devtools.run())
            for _ in range(_VISITORS):
                group.create_task(_keep_visiting(devtools, url, show))
    except* BrowserGoneError:
        raise UserError("The browser ended") from None


async def _keep_visiting(devtools: DevTools, url: str, show: Callable[[str], None]) -> None:
    random = Random()  # noqa: S311 - people, not secrets
    while True:
        await Visit(devtools, url, random, show).run()


async def _check(script: str) -> None:
    """Raise `UserError` unless the server serves the script."""
    try:
        async with (
            aiohttp.ClientSession(timeout=_REQUEST_SECONDS) as session,
            session.get(script) as response,
        ):
            if response.ok:
                return
            problem = f"answers with {response.status}"
    except (aiohttp.ClientError, TimeoutError) as error:
        # Without "ssl:default", which aiohttp adds.
        problem = f"cannot be reached: {getattr(error, 'os_error', error)}"
    raise UserError(f"{script} {problem}. Start headrace with `headrace up`, or use --to")


async def _check_site(server: str, site_id: str, origin: str) -> None:
    """Raise `UserError` if the site is not registered, or not for these pages.

    The event is rejected in any case, for its id, but not before the server checks the site.
    """
    event = {"type": "pageview", "site_id": site_id, "session_id": "demo", "event_id": "none"}
    with suppress(aiohttp.ClientError, TimeoutError):  # visitors try again
        async with (
            aiohttp.ClientSession(timeout=_REQUEST_SECONDS, headers={"Origin": origin}) as session,
            session.post(f"{server}/api/event", json=event) as response,
        ):
            if response.status == HTTPStatus.FORBIDDEN:
                why = (await response.json())["error"]
                raise UserError(f"The server rejects the events of the demo: {why}")
