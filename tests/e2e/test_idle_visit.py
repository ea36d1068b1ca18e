"""Time alone closes a visit: nothing else has to come."""

import pytest

from tests.e2e.conftest import MakeStack
from tests.fixtures.waiting import eventually


@pytest.mark.timeout(180)
def test_an_idle_visit_closes_by_itself(make_stack: MakeStack) -> None:
    """With gap and lateness of a second, on partitions that get no other event."""
    stack = make_stack(
        {
            "HEADRACE_SESSION__GAP_SECONDS": "1",
            "HEADRACE_SESSION__LATENESS_SECONDS": "1",
            "HEADRACE_STREAMS__TICK_SECONDS": "0.5",
        }
    )
    assert stack.post({"type": "pageview", "site_id": "idle", "session_id": "s"})[0] == 202

    def is_closed() -> bool:
        visits = stack.rows("SELECT state, close_reason FROM sessions")
        return visits == [{"state": "closed", "close_reason": "idle"}]

    eventually(is_closed, within_seconds=30, what="the visit is closed as idle")
