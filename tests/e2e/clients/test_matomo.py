"""The published clients of Matomo send each event once. They never send again after an error.

`matomo.js` is in no package registry: the recorded sessions are those of the script.
"""

from pathlib import Path

import pytest

from tests.e2e.clients import packages
from tests.e2e.clients.conftest import OpenPage, problems
from tests.e2e.clients.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_NODE = """
import MatomoTracker from 'matomo-tracker'
const matomo = new MatomoTracker(7, process.env.COLLECTOR + '/matomo.php')
matomo.on('error', error => console.log('error', error))
const url = 'https://shop.example/pricing'
matomo.track({ url, action_name: 'Pricing', uid: 'ada' })
const burst = { url, uid: 'ada', e_c: 'app', e_a: 'burst' }
const events = [...Array(40).keys()].map(i => ({ ...burst, e_v: i }))
events.push({ url, uid: 'ada', idgoal: 0, ec_id: 'o-1', revenue: 29 })
matomo.trackBulk(events, response => console.log(response))
"""
_BROWSER = """
import MatomoTracker from 'matomo-tracker-react-native/src/MatomoTracker.js'
const matomo = new MatomoTracker({ urlBase: COLLECTOR, siteId: 7, userId: 'ada' })
matomo.trackScreenView({ name: 'Pricing', url: 'https://shop.example/pricing' })
  .then(() => matomo.trackEvent({ category: 'app', action: 'signup', value: 3 }))
  .then(() => matomo.trackLink({ link: 'https://other.example/' }))
"""

_LOST = '{"error":"The server is shutting down; try again in a moment","code":"shutting_down"}'


@pytest.mark.parametrize(
    ("failures", "said", "types"),
    [
        (
            0,
            '{"status":"success","tracked":41,"invalid":0}',
            {"pageview": 1, "custom_event": 40, "payment": 1},
        ),
        (1, f"error 503\n{_LOST}", {"pageview": 1}),
    ],
)
def test_matomo_tracker(
    server: Server, tmp_path: Path, failures: int, said: str, types: dict[str, int]
) -> None:
    """One request by GET, and a bulk request by POST, of which it reports errors."""
    server.fail(failures)

    output = packages.node(_NODE, tmp_path, server.url, "matomo-tracker@2.2.4")
    events = server.wait_for(sum(types.values()))

    found = [event.type for event in events]
    assert output.strip() == said
    assert {kind: found.count(kind) for kind in found} == types
    assert len(server.exchanges) == 2
    assert {(event.site_id, event.user_id) for event in events} == {("7", "ada")}


@pytest.mark.parametrize("failures", [0, 1])
def test_matomo_tracker_react_native(server: Server, open_page: OpenPage, failures: int) -> None:
    """In a page: urlencoded bodies, for which it wants no image."""
    server.fail(failures)

    chrome = open_page(_BROWSER, "matomo-tracker-react-native@0.3.3")
    events = server.wait_for(3 - failures)

    types = ["pageview", "custom_event", "external_link"]
    assert problems(chrome) == []
    assert [event.type for event in events] == types[failures:]
    assert server.statuses() == failures * [503] + (3 - failures) * [204]
