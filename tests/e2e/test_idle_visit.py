"""Visits close by time alone, without further events."""

import pytest

from tests.e2e.conftest import MakeStack
from tests.fixtures.waiting import eventually


@pytest.mark.timeout(180)
def test_an_idle_visit_closes_by_itself(make_stack: MakeStack) -> None:
    """With a gap and grace period of a second, on partitions without other events."""
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
