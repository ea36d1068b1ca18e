"""The published clients of Plausible send each event once. They never send again after an error."""

import pytest

from tests.e2e.clients.conftest import OpenPage, after_failures, expect_statuses, problems
from tests.e2e.clients.server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_TRACKER = """
import { init, track } from '@plausible-analytics/tracker'
init({ domain: 'shop', endpoint: COLLECTOR + '/api/event', captureOnLocalhost: true })
track('signup', { props: { plan: 'pro' } })
track('order', { revenue: { amount: 29.5, currency: 'EUR' } })
"""
_OLD_TRACKER = """
import Plausible from 'plausible-tracker'
const plausible = Plausible({ domain: 'shop', apiHost: COLLECTOR, trackLocalhost: true })
plausible.trackPageview()
plausible.trackEvent('signup', { props: { plan: 'pro' } })
"""


@after_failures
def test_tracker(server: Server, open_page: OpenPage, failures: int) -> None:
    """It also sends how long the first page was engaged with, when the second one is opened."""
    server.fail(failures)

    chrome = open_page(_TRACKER, "@plausible-analytics/tracker@0.4.6")
    server.wait_for(3 - failures)
    chrome.get(chrome.current_url.replace("first", "second"))
    events = server.wait_for(7 - failures)

    assert problems(chrome) == []
    assert server.statuses("OPTIONS") == []
    expect_statuses(server, (7 - failures) * [202] + failures * [503])
    second = [event for event in events if event.path == "/second.html"]
    assert sorted(event.type for event in second) == ["custom_event", "pageview", "payment"]
    (leave,) = [event for event in events if event.type == "pageleave"]
    assert (leave.path, leave.duration_ms is not None) == ("/first.html", True)
    (payment,) = [event for event in second if event.type == "payment"]
    assert (str(payment.amount), payment.currency) == ("29.500000", "EUR")
    assert {event.site_id for event in events} == {"shop"}
    assert len({event.session_id for event in events}) == 1


@after_failures
def test_old_tracker(server: Server, open_page: OpenPage, failures: int) -> None:
    """Its properties are a text with JSON."""
    server.fail(failures)

    chrome = open_page(_OLD_TRACKER, "plausible-tracker@0.3.9")
    server.wait_for(2 - failures)
    chrome.get(chrome.current_url.replace("first", "second"))
    events = server.wait_for(4 - failures)

    assert problems(chrome) == []
    expect_statuses(server, (4 - failures) * [202] + failures * [503])
    second = [event for event in events if event.path == "/second.html"]
    assert sorted(event.type for event in second) == ["custom_event", "pageview"]
    (signup,) = [event for event in second if event.type == "custom_event"]
    assert (signup.event_name, signup.properties) == ("signup", '{"plan":"pro"}')
    assert len({event.session_id for event in events}) == 1
