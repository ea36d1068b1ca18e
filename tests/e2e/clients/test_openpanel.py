"""The published clients of OpenPanel send each event once, also after errors of the server."""

from pathlib import Path

import pytest

from tests.e2e.clients import packages
from tests.e2e.clients.conftest import OpenPage, after_failures, problems
from tests.e2e.clients.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_NODE = """
import { OpenPanel } from '@openpanel/sdk'
const op = new OpenPanel({ clientId: 'shop', clientSecret: 'sec_1', apiUrl: process.env.COLLECTOR })
await op.track('screen_view', { __path: 'https://shop.example/pricing' })
await op.identify({ profileId: 'ada', firstName: 'Ada' })
await op.increment({ profileId: 'ada', property: 'visits' })
await op.revenue(2999, { currency: 'EUR', deviceId: op.getDeviceId() })
if (!op.getDeviceId() || !op.getSessionId()) throw new Error('no ids')
"""
_REJECTED = """
import { OpenPanel } from '@openpanel/sdk'
const op = new OpenPanel({ clientId: 'not a site', apiUrl: process.env.COLLECTOR })
await op.track('signup')
"""
_PYTHON = """
import asyncio
import os
from openpanel import OpenPanel

op = OpenPanel("shop", "sec_1", os.environ["COLLECTOR"])
op.track("signup", {"plan": "pro"})
op.identify("ada", {"email": "ada@shop.example"})
op.increment("ada", "visits", 1)
asyncio.run_coroutine_threadsafe(asyncio.sleep(0), op.loop).result()  # after its own requests
"""
_BROWSER = """
import { OpenPanel } from '@openpanel/web'
const op = new OpenPanel({ clientId: 'shop', apiUrl: COLLECTOR, trackScreenViews: true })
op.identify({ profileId: 'ada', firstName: 'Ada' })
op.revenue(2999, { currency: 'EUR' })
"""


@after_failures
def test_openpanel_sdk(server: Server, tmp_path: Path, failures: int) -> None:
    """A payment belongs to the session of the page whose id it has."""
    server.fail(failures)

    said = packages.node(_NODE, tmp_path, server.url, "@openpanel/sdk@1.3.1")

    events = server.wait_for(4)
    assert said == ""
    assert server.statuses() == failures * [503] + 4 * [200]
    assert [event.type for event in events] == ["pageview", "identify", "identify", "payment"]
    assert str(events[3].amount) == "29.990000"
    assert events[3].session_id == events[2].session_id


def test_openpanel_sdk_accepts_a_permanent_rejection(server: Server, tmp_path: Path) -> None:
    """It sends again after all errors but 401."""
    said = packages.node(_REJECTED, tmp_path, server.url, "@openpanel/sdk@1.3.1")

    assert (said, server.statuses()) == ("", [401])


@after_failures
def test_openpanel_python(server: Server, tmp_path: Path, failures: int) -> None:
    """It prints errors, and never sends again."""
    server.fail(failures)

    said = packages.python(_PYTHON, tmp_path, server.url, "openpanel==0.0.1", "requests==2.34.2")

    events = server.wait_for(3 - failures)
    assert said == failures * "Error sending payload: HTTP 503\n"
    assert server.statuses() == failures * [503] + (3 - failures) * [200]
    assert [event.type for event in events] == ["custom_event", "identify", "identify"][failures:]


@after_failures
def test_openpanel_web(server: Server, open_page: OpenPage, failures: int) -> None:
    """All events of two pages are of one session, also those before and after `identify`."""
    server.fail(failures)

    chrome = open_page(_BROWSER, "@openpanel/web@1.4.1")
    server.wait_for(3)
    chrome.get(chrome.current_url.replace("first", "second"))
    events = server.wait_for(6)

    assert problems(chrome) == []
    assert server.statuses() == failures * [503] + 6 * [200]
    assert sorted(event.path or "" for event in events if event.type == "pageview") == [
        "/first.html",
        "/second.html",
    ]
    types = sorted(event.type for event in events)
    assert types == 2 * ["identify"] + 2 * ["pageview"] + 2 * ["payment"]
    assert len({(event.site_id, event.session_id) for event in events}) == 1
