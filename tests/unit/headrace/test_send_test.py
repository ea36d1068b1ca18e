"""`headrace alerts test` waits for the result of the attempt."""

from collections.abc import Iterator
from typing import Any, cast

import pytest

from headrace.errors import UserError
from headrace.ops import subscriptions
from headrace.ops.subscriptions import send_test
from sinks.delivery.queue import NO_RESULT
from sinks.delivery.service import Subscriptions
from sinks.paging import Page, Slice

IN_PROGRESS = {"attempt": 1, "status": None, "error": NO_RESULT, "duration_ms": None}
DELIVERED = {"attempt": 1, "status": 204, "error": None, "duration_ms": 3}
REJECTED = {"attempt": 1, "status": 500, "error": None, "duration_ms": 3}
UNREACHABLE = {"attempt": 1, "status": None, "error": "connection refused", "duration_ms": 3}
GONE = {"attempt": 1, "status": 410, "error": None, "duration_ms": 3}


class Service:
    """A service whose lists show the attempts of the test delivery one after the other."""

    def __init__(self, *lists: list[dict[str, Any]]) -> None:
        self.lists: Iterator[list[dict[str, Any]]] = iter(lists)

    async def test(self, _subscription_id: str) -> dict[str, Any]:
        """Enqueue the delivery."""
        return {"delivery_id": "d"}

    async def deliveries(self, _subscription_id: str, _slice: Slice) -> Page:
        """Return the next list, after another delivery."""
        other = {"delivery_id": "other", "attempts": [REJECTED], "state": "pending"}
        return Page([other, {"delivery_id": "d", "attempts": next(self.lists)}], None)


def service(*lists: list[dict[str, Any]]) -> Subscriptions:
    """Return a service with these lists of attempts."""
    return cast("Subscriptions", Service(*lists))


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "_POLL_SECONDS", 0)


async def test_an_attempt_in_progress_is_no_result() -> None:
    """The claim of a delivery writes its attempt, before the request is sent."""
    assert await send_test(service([], [IN_PROGRESS], [DELIVERED]), "s") == DELIVERED


async def test_an_interrupted_attempt_is_followed_by_another() -> None:
    """The process that sent the first one died."""
    second = {**DELIVERED, "attempt": 2}

    assert await send_test(service([IN_PROGRESS], [IN_PROGRESS, second]), "s") == second


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (REJECTED, "it responded with 500; it is sent again later"),
        (UNREACHABLE, "connection refused; it is sent again later"),
        (GONE, "it responded with 410"),
    ],
)
async def test_a_failure_is_an_error(attempt: dict[str, Any], message: str) -> None:
    """Its reason is in the message."""
    with pytest.raises(UserError, match=f"did not accept the test message: {message}$"):
        await send_test(service([IN_PROGRESS], [attempt]), "s")


@pytest.mark.parametrize(
    ("attempts", "message"), [([], "is queued"), ([IN_PROGRESS], "is being sent")]
)
async def test_a_result_that_does_not_come_is_an_error(
    attempts: list[dict[str, Any]], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The role `sinks` may be down."""
    monkeypatch.setattr(subscriptions, "_TIMEOUT_SECONDS", -1)

    with pytest.raises(UserError, match=message):
        await send_test(service(attempts), "s")
