"""Valid, invalid and repeated events on a running stack."""

import pytest

from tests.e2e.stack import Stack
from tests.fixtures.waiting import eventually

pytestmark = pytest.mark.timeout(240)


def test_valid_events_are_stored_once_and_invalid_ones_rejected(stack: Stack) -> None:
    """Repeats are dropped, and every sum over the rows is exact."""
    good = [_numbered(number) for number in range(300)]
    bad = [{**event, "type": "nonsense"} for event in good[:40]]
    repeats = good[100:160]

    status, content = stack.post([*good, *bad, *repeats], "/api/events")

    assert (status, content["accepted"], content["rejected"]) == (207, 360, 40)
    eventually(
        lambda: (
            stack.rows("SELECT sum(events) AS n FROM sessions WHERE site_id = 'many'")
            == stack.rows("SELECT count(*) AS n FROM events WHERE site_id = 'many'")
            == [{"n": 300}]
        ),
        within_seconds=30,
        what="all good events are stored, and counted in sessions",
    )
    assert stack.rows("SELECT sum(pageviews) AS n FROM sessions WHERE site_id = 'many'") == [
        {"n": 300}
    ]


def _numbered(number: int) -> dict[str, object]:
    return {
        "type": "pageview",
        "site_id": "many",
        "session_id": f"s{number % 30}",
        "event_id": f"00000000-0000-4000-8000-{number:012d}",
        "path": f"/{number}",
    }
