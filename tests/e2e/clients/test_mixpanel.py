"""The published clients of Mixpanel send each event once, as far as they send again at all."""

from pathlib import Path

import pytest

from tests.e2e.clients import packages
from tests.e2e.clients.conftest import OpenPage, after_failures, problems
from tests.e2e.clients.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_NODE = """
import Mixpanel from 'mixpanel'
const { hostname, port } = new URL(process.env.COLLECTOR)
const options = { host: `${hostname}:${port}`, protocol: 'http', key: 'k' }
const mixpanel = Mixpanel.init('shop', options)
const sent = send => new Promise(resolve => send(error => resolve(error && console.log(error))))
const page = { distinct_id: 'u1', $current_url: 'https://shop.example/pricing' }
await sent(done => mixpanel.track('$mp_web_page_view', page, done))
await sent(done => mixpanel.people.set('u1', { plan: 'pro' }, done))
await sent(done => mixpanel.people.track_charge('u1', 29, {}, done))
await sent(done => mixpanel.groups.set('company', 'acme', { seats: 3 }, done))
await sent(done => mixpanel.alias('u1', 'u2', done))
const burst = [...Array(60)].map(() => ({ event: 'burst', properties: { distinct_id: 'u1' } }))
await sent(done => mixpanel.track_batch(burst, errors => done(errors?.find(Boolean))))
const time = new Date(Date.now() - 3600000)
await sent(done => mixpanel.import('old', time, { distinct_id: 'u1' }, done))
"""
_PYTHON = """
import os
from mixpanel import BufferedConsumer, Consumer, Mixpanel, MixpanelException

url = os.environ["COLLECTOR"]
urls = [f"{url}/{name}" for name in ("track", "engage", "import")]

def persistently(call, *arguments):
    for _ in range(3):
        try:
            return call(*arguments)
        except MixpanelException as error:
            print(error)
    raise AssertionError

mixpanel = Mixpanel("shop", Consumer(*urls, groups_url=f"{url}/groups"))
page = {"$current_url": "https://shop.example/pricing"}
persistently(mixpanel.track, "u1", "$mp_web_page_view", page)
mixpanel.people_set("u1", {"plan": "pro"})
mixpanel.people_track_charge("u1", 29)
mixpanel.group_set("company", "acme", {"seats": 3})
mixpanel.import_data("k", "u1", "old", 1700000000)
consumer = BufferedConsumer(50, *urls)
for _ in range(60):
    Mixpanel("shop", consumer).track("u1", "burst")
consumer.flush()
"""
_BROWSER = """
import mixpanel from 'mixpanel-browser'
mixpanel.init('shop', { api_host: COLLECTOR, track_pageview: true, persistence: 'localStorage' })
mixpanel.identify('u1')
mixpanel.people.set({ plan: 'pro' })
mixpanel.track('Purchase', { amount: 29, currency: 'EUR' })
"""
_SERVER_TYPES = {"custom_event": 62, "identify": 1, "pageview": 1, "payment": 1}


def _types(server: Server, count: int) -> dict[str, int]:
    names = [event.type for event in server.wait_for(count)]
    return {name: names.count(name) for name in sorted(set(names))}


def test_mixpanel_node(server: Server, tmp_path: Path) -> None:
    """It never sends again, and reports an error to the caller unless the response is 1."""
    said = packages.node(_NODE, tmp_path, server.url, "mixpanel@0.24.0")

    assert "Error" not in said
    assert _types(server, 66) == {**_SERVER_TYPES, "identify": 2}
    assert set(server.statuses("GET") + server.statuses()) == {200}


@after_failures
def test_mixpanel_python(server: Server, tmp_path: Path, failures: int) -> None:
    """It raises the exception that callers expect, with the error as its text."""
    server.fail(failures)

    said = packages.python(_PYTHON, tmp_path, server.url, "mixpanel==5.4.1")

    errors = [line for line in said.splitlines() if "error" in line]
    assert (
        errors == ["Mixpanel error: The server is shutting down; try again in a moment"] * failures
    )
    assert _types(server, 65) == _SERVER_TYPES


@after_failures
def test_mixpanel_browser(server: Server, open_page: OpenPage, failures: int) -> None:
    """Its queue is sent again until it is accepted."""
    server.fail(failures)

    chrome = open_page(_BROWSER, "mixpanel-browser@2.83.0")
    server.wait_for(4)
    chrome.get(chrome.current_url.replace("first", "second"))
    events = server.wait_for(7)

    assert problems(chrome) == []
    assert {event.site_id for event in events} == {"shop"}
    assert {event.user_id for event in events if event.type == "payment"} == {"u1"}
    assert len({event.visitor_id for event in events}) == 1
