"""The results of a batch: what became of each of its events."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from producer_api.events.draft import EncodedEvent
from producer_api.events.rejection import Rejected
from producer_api.http.metrics import Metrics
from schemas.reject_reasons import NOT_IN_KAFKA, RejectReason

#: Errors of the server or of Kafka: the event may be valid.
_FAILURES = NOT_IN_KAFKA | {RejectReason.INTERNAL_ERROR}


class Results(NamedTuple):
    """The response to a batch: its status and JSON body.

    `retry_after` is how many seconds to wait because of a rate limit, or 0.
    """

    status: int
    body: dict[str, Any]
    retry_after: int


def count_results(outcomes: Sequence[EncodedEvent | Rejected], metrics: Metrics) -> Results:
    """Count events as accepted or rejected, and return the results of all in order."""
    accepted = Counter(event.type for event in outcomes if isinstance(event, EncodedEvent))
    for name, count in accepted.items():
        metrics.counters.count_accepted(name, count)
    results: list[dict[str, Any]] = []
    for index, outcome in enumerate(outcomes):
        if isinstance(outcome, EncodedEvent):
            results.append({"index": index, "status": "accepted", "event_id": outcome.event_id})
            if outcome.clamped:
                results[-1]["clamped"] = outcome.clamped
        else:
            metrics.count_rejected(outcome)
            status = "failed" if outcome.reason in _FAILURES else "rejected"
            results.append({"index": index, "status": status, **outcome.to_json()})
    counts = Counter(result["status"] for result in results)
    retry_after = max(result.get("retry_after", 0) for result in results)
    return Results(_status(counts), _summary(counts, results), retry_after)


def _status(counts: Counter[Any]) -> int:
    if counts["accepted"]:
        return 202 if counts.total() == counts["accepted"] else 207
    return 500 if counts["failed"] else 400


def _summary(counts: Counter[Any], results: list[dict[str, Any]]) -> dict[str, Any]:
    summary = {"accepted": counts["accepted"], "rejected": counts["rejected"]}
    if counts["failed"]:
        summary["failed"] = counts["failed"]
    return {**summary, "results": results}
