"""The published clients of Umami send each event once. They never send again after an error."""

from pathlib import Path

import pytest

from tests.e2e.clients import packages
from tests.e2e.clients.conftest import after_failures
from tests.e2e.clients.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_NODE = """
import { Umami } from '@umami/node'
const umami = new Umami({ websiteId: 'shop', hostUrl: process.env.COLLECTOR })
const order = { revenue: 29, currency: 'EUR' }
for (const response of [
  await umami.track({ url: '/pricing', hostname: 'shop.example', title: 'Pricing' }),
  await umami.track('signup', { plan: 'pro' }),
  await umami.identify({ id: 'ada' }),
  await umami.track({ name: 'order', url: '/checkout', data: order })
]) {
  if (response.ok && (await response.json()).disabled) throw new Error('disabled')
}
"""
_PYTHON = """
import os
import umami

umami.set_url_base(os.environ["COLLECTOR"])
umami.set_website_id("shop")
umami.set_hostname("shop.example")
assert umami.heartbeat()

def send(call, *args, **members):
    try:
        assert "disabled" not in call(*args, **members)
    except Exception as error:
        print(type(error).__name__)

send(umami.new_page_view, "Pricing", url="/pricing")
send(umami.new_event, "signup", custom_data={"plan": "pro"}, distinct_id="ada")
send(umami.new_revenue_event, 29.5, "EUR", event_name="order", distinct_id="ada")
"""


@after_failures
def test_umami_node(server: Server, tmp_path: Path, failures: int) -> None:
    """It returns responses, whatever their status."""
    server.fail(failures)

    said = packages.node(_NODE, tmp_path, server.url, "@umami/node@0.4.0")

    events = server.wait_for(4 - failures)
    assert said == ""
    assert server.statuses() == failures * [503] + (4 - failures) * [200]
    types = ["pageview", "custom_event", "identify", "payment"]
    assert [event.type for event in events] == types[failures:]
    assert {event.site_id for event in events} == {"shop"}


@after_failures
def test_umami_analytics(server: Server, tmp_path: Path, failures: int) -> None:
    """It raises the errors of the server, to which it sends the bearer token None."""
    server.fail(failures)

    said = packages.python(_PYTHON, tmp_path, server.url, "umami-analytics==1.0.0")

    events = server.wait_for(3 - failures)
    assert said == failures * "HTTPStatusError\n"
    assert server.statuses() == failures * [503] + (3 - failures) * [200]
    types = ["pageview", "custom_event", "payment"]
    assert [event.type for event in events] == types[failures:]
    assert {event.hostname for event in events} == {"shop.example"}
