"""The published clients of Rybbit send each event once. They never send again after an error."""

from pathlib import Path

import pytest

from tests.e2e.clients import packages
from tests.e2e.clients.conftest import OpenPage, after_failures, problems
from tests.e2e.clients.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_NODE = """
import { Rybbit } from '@rybbit/node'
const host = `${process.env.COLLECTOR}/api`
const client = new Rybbit({ analyticsHost: host, siteId: 'shop', apiKey: 'rb_1' })
await client.pageview({ hostname: 'shop.example', pathname: '/pricing' })
await client.event('signup', { user_id: 'ada' }, { plan: 'pro' })
"""
_BROWSER = """
import rybbit from '@rybbit/js'
rybbit.init({ analyticsHost: `${COLLECTOR}/api`, siteId: 'shop' }).then(() => {
  rybbit.event('signup', { plan: 'pro' })
  rybbit.identify('ada', { plan: 'pro' })
  rybbit.error(new Error('boom'))
})
"""


@after_failures
def test_rybbit_node(server: Server, tmp_path: Path, failures: int) -> None:
    """Its key is not one of headrace, and is not needed."""
    server.fail(failures)

    packages.node(_NODE, tmp_path, server.url, "@rybbit/node@1.0.0")

    events = server.wait_for(2 - failures)
    assert server.statuses() == failures * [503] + (2 - failures) * [200]
    assert [event.type for event in events] == ["pageview", "custom_event"][failures:]
    assert [event.extra for event in events] == (2 - failures) * [None]


@after_failures
def test_rybbit_js(server: Server, open_page: OpenPage, failures: int) -> None:
    """Its configuration enables what it can report; it sends beacons."""
    server.fail(failures)

    chrome = open_page(_BROWSER, "@rybbit/js@0.6.2")
    events = server.wait_for(4 - failures)

    assert problems(chrome) == []
    assert sorted(server.statuses()) == (4 - failures) * [200] + failures * [503]
    assert len({(event.site_id, event.session_id) for event in events}) == 1
    types = {"pageview", "custom_event", "identify", "error"}
    assert {event.type for event in events} <= types
