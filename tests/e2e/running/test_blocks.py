"""`headrace blocks` on a running stack."""

import pytest

from schemas.blocked_ids import hash_of
from tests.e2e.stack import Stack
from tests.fixtures.waiting import eventually

pytestmark = pytest.mark.timeout(300)

_SITE = "blocked"
#: A block takes effect in every process within this time.
_EFFECTIVE_SECONDS = 5


def test_a_block_is_listed_and_removed(stack: Stack) -> None:
    """Both take effect while everything runs; a hash of the list removes a block as well."""
    event = {"type": "pageview", "site_id": _SITE, "session_id": "s"}

    def until(status: int, **ids: str) -> None:
        eventually(
            lambda: stack.post({**event, **ids})[0] == status,
            within_seconds=_EFFECTIVE_SECONDS,
            what=f"an event of {ids} is answered with {status}",
        )

    ids = ("--visitor", "ann", "--user", "u-ann")
    stack.headrace("erase", "--site", _SITE, *ids, "--block", "--yes")
    until(403, visitor_id="ann")
    until(403, user_id="u-ann")
    assert stack.post({**event, "visitor_id": "bob"})[0] == 202

    listed = stack.headrace("blocks", "list", "--site", _SITE)
    assert listed.startswith(f"2 ids of {_SITE} are blocked.")
    user = hash_of(_SITE, "user", "u-ann")
    assert {hash_of(_SITE, "visitor", "ann"), user} <= set(listed.split())
    unknown = stack.invoke("blocks", "remove", "--site", _SITE, "--visitor", "bob")
    assert unknown.exit_code == 1
    assert "headrace blocks list" in str(unknown.exception)

    stack.headrace("blocks", "remove", "--site", _SITE, "--visitor", "ann")
    until(202, visitor_id="ann")
    assert stack.post({**event, "user_id": "u-ann"})[0] == 403
    stack.headrace("blocks", "remove", "--site", _SITE, "--hash", user)
    until(202, user_id="u-ann")
    listed = stack.headrace("blocks", "list", "--site", _SITE)
    assert listed == f"No id of {_SITE} is blocked.\n"
