"""Invented names do not displace real sites and pages."""

import json
import urllib.request
from collections.abc import Iterable
from typing import Any
from uuid import uuid4

import pytest

from tests.e2e.stack import Stack
from tests.faults.scenario import Scenario
from tests.fixtures.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

INVENTED = 12_000
_PER_REQUEST = 1_000
_WITHIN_SECONDS = 120


def send(stack: Stack, events: Iterable[dict[str, Any]]) -> None:
    """Send events in requests of 1,000."""
    batch = list(events)
    for start in range(0, len(batch), _PER_REQUEST):
        status, content = stack.post(batch[start : start + _PER_REQUEST], "/api/events")
        assert status == 202, content


def get(stack: Stack, path: str) -> dict[str, Any]:
    """GET a path with the owner's token."""
    request = urllib.request.Request(stack.url + path)  # noqa: S310 - ours
    token = (stack.data_dir / "owner.token").read_text().strip()
    request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=15) as response:  # noqa: S310 - ours
        content: dict[str, Any] = json.load(response)
        return content


def test_12000_invented_sites_do_not_displace_active_sites(
    scenario: Scenario,
) -> None:
    """A site that becomes active afterwards has its numbers."""
    stack, run = scenario.stack, uuid4().hex

    def view(site: str, number: int = 0) -> dict[str, Any]:
        return {"type": "pageview", "site_id": site, "session_id": f"{run}-{number}", "path": "/"}

    for _ in range(2):
        send(stack, (view(f"junk-{number}") for number in range(INVENTED)))
    send(stack, (view(f"after-{run}", number) for number in range(3)))

    eventually(
        lambda: get(stack, f"/api/sites/after-{run}/live")["sessions_now"] == 3,
        within_seconds=_WITHIN_SECONDS,
        what="the site has 3 sessions",
    )


def test_12000_invented_paths_do_not_displace_pages(
    scenario: Scenario,
) -> None:
    """Pages that several sessions leave afterwards have rows; each leave counts once."""
    stack, site = scenario.stack, f"paths-{uuid4().hex}"

    def leave(path: str, session: str) -> dict[str, Any]:
        given = {"site_id": site, "session_id": session, "path": path}
        return {"type": "pageleave", "duration": 1_000, **given}

    send(stack, (leave(f"/junk-{number}", f"junk-{number}") for number in range(INVENTED)))
    real = [
        leave(f"/page-{page}", f"real-{page}-{session}")
        for session in range(24)
        for page in range(20)
    ]
    send(stack, real)

    query = f"SELECT path, leaves FROM page_durations WHERE site_id = '{site}'"  # noqa: S608 - ours
    eventually(
        lambda: sum(row["leaves"] for row in stack.rows(query)) == INVENTED + len(real),
        within_seconds=_WITHIN_SECONDS,
        what="all leaves are counted",
    )
    leaves: dict[str, int] = {}
    for row in stack.rows(query):
        leaves[row["path"]] = leaves.get(row["path"], 0) + row["leaves"]
    # The first leave of a page in each of the 4 partitions counts in the row of other paths.
    assert {leaves[f"/page-{page}"] for page in range(20)} <= set(range(24 - 4, 24 + 1))
