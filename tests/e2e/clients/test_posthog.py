"""The published clients of PostHog send each event once, also after errors of the server."""

from pathlib import Path

import pytest
from selenium.webdriver.common.by import By

from tests.e2e.clients import packages
from tests.e2e.clients.conftest import OpenPage, after_failures, problems
from tests.e2e.clients.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

#: Of the capture API.
of_both_versions = pytest.mark.parametrize("version", ["v0", "v1"])

_NODE = """
import { PostHog } from 'posthog-node'
process.env.POSTHOG_CAPTURE_MODE = 'VERSION'
// Node.js ends while the client waits before it sends again.
const alive = setInterval(() => {}, 1000)
const client = new PostHog('shop', { host: process.env.COLLECTOR, fetchRetryDelay: 100 })
client.on('error', error => { console.error(error); process.exitCode = 1 })
const $current_url = 'https://shop.example/pricing'
client.capture({ distinctId: 'u1', event: '$pageview', properties: { $current_url } })
client.identify({ distinctId: 'u1', properties: { plan: 'pro' } })
client.groupIdentify({ groupType: 'company', groupKey: 'acme', properties: { seats: 3 } })
client.captureException(new Error('card declined'), 'u1')
const properties = { revenue: 29, currency: 'EUR' }
client.capture({ distinctId: 'u1', event: 'purchase', properties })
for (let i = 0; i < 40; i++) client.capture({ distinctId: 'u1', event: 'burst' })
await client.flush()
console.log(JSON.stringify(await client.getAllFlags('u1')))
await client.shutdown(60000)
clearInterval(alive)
"""
_PYTHON = """
import os
from posthog import Posthog

def fail(error, batch):
    print(error)
    os._exit(1)

url = os.environ["COLLECTOR"]
client = Posthog("shop", host=url, gzip=True, on_error=fail, capture_mode="VERSION")
page = {"$current_url": "https://shop.example/pricing"}
client.capture("$pageview", distinct_id="u1", properties=page)
client.set(distinct_id="u1", properties={"plan": "pro"})
client.group_identify("company", "acme", {"seats": 3})
client.capture_exception(ValueError("card declined"), distinct_id="u1")
client.capture("purchase", distinct_id="u1", properties={"revenue": 29, "currency": "EUR"})
for i in range(40):
    client.capture("burst", distinct_id="u1", properties={"i": i})
client.flush()
print(client.get_all_flags("u1"))
client.shutdown()
"""
_BROWSER = """
import posthog from 'posthog-js'
// It sends nothing from a driven browser otherwise.
const filter = { opt_out_useragent_filter: true }
posthog.init('shop', { api_host: COLLECTOR, defaults: '2025-11-30', ...filter })
posthog.identify('u1', { plan: 'pro' })
posthog.capture('purchase', { revenue: 29, currency: 'EUR' })
posthog.getSurveys(() => {}, true)
posthog.getEarlyAccessFeatures(() => {}, true)
const button = document.createElement('button')
button.textContent = 'Buy'
document.documentElement.append(button)
"""
_SERVER_TYPES = [
    *(["custom_event"] * 41),
    *("error", "identify", "pageview", "payment"),
]


@of_both_versions
@after_failures
def test_posthog_node(server: Server, tmp_path: Path, failures: int, version: str) -> None:
    """It evaluates no feature flags, without an error."""
    server.fail(failures)

    script = _NODE.replace("VERSION", version)
    said = packages.node(script, tmp_path, server.url, "posthog-node@5.70.0")

    assert said == "{}\n"
    assert sorted(event.type for event in server.wait_for(45)) == _SERVER_TYPES


@of_both_versions
@after_failures
def test_posthog_python(server: Server, tmp_path: Path, failures: int, version: str) -> None:
    """Compressed requests."""
    server.fail(failures)

    script = _PYTHON.replace("VERSION", version)
    said = packages.python(script, tmp_path, server.url, "posthog==7.91.1")

    assert said == "{}\n"
    assert sorted(event.type for event in server.wait_for(45)) == _SERVER_TYPES


@after_failures
def test_posthog_js(server: Server, open_page: OpenPage, failures: int) -> None:
    """Its configuration turns on what captures clicks, and nothing that needs more programs."""
    server.fail(failures)

    chrome = open_page(_BROWSER, "posthog-js@1.449.2")
    server.wait_for(3)
    chrome.find_element(By.TAG_NAME, "button").click()
    server.wait_for(4)
    chrome.get(chrome.current_url.replace("first", "second"))
    events = server.wait_for(8)

    assert problems(chrome) == []
    of_both = ["identify", "pageview", "payment"]
    types = sorted(event.type for event in events)
    assert types == sorted(["button_click", "pageleave", *of_both, *of_both])
    assert {event.site_id for event in events} == {"shop"}
    assert len({event.session_id for event in events}) == 1
    assert {event.visitor_id for event in events} == {events[0].visitor_id}
    assert {(exchange.path, exchange.status) for exchange in server.exchanges} <= {
        ("/array/shop/config.js", 200),
        ("/flags/", 200),
        ("/api/surveys/", 200),
        ("/api/early_access_features/", 200),
        ("/e/", 200),
        ("/i/v0/e/", 200),
        *([("/e/", 503)] * failures),
    }
