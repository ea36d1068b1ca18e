"""What the role counts: every metric's name stands here.

No label ever holds what a client sent: types and reasons are closed lists.
"""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from producer_api.rejected import Rejected
from schemas.event_types import EVENT_TYPES
from schemas.reject_reasons import RejectReason

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """The role's metrics, in a registry."""

    def __init__(self, registry: CollectorRegistry, waiting_bytes: Callable[[], float]) -> None:
        self.registry = registry
        accepted = Counter(
            "headrace_api_events_accepted_total",
            "Events that Kafka has confirmed.",
            ["type"],
            registry=registry,
        )
        rejected = Counter(
            "headrace_api_events_rejected_total",
            "Events and requests that were refused.",
            ["reason"],
            registry=registry,
        )
        self.failed = Counter(
            "headrace_api_events_failed_total",
            "Valid events that Kafka did not confirm in time.",
            registry=registry,
        )
        self.request_seconds = Histogram(
            "headrace_api_request_seconds",
            "From the request's headers to its answer.",
            buckets=_SECONDS,
            registry=registry,
        )
        waiting = Gauge(
            "headrace_api_waiting_bytes", "Of records on their way to Kafka.", registry=registry
        )
        waiting.set_function(waiting_bytes)
        # Looked up once: a lookup by label costs more than the count. And so each is there at 0.
        self.accepted = {name: accepted.labels(name) for name in EVENT_TYPES}
        self._rejected = {reason: rejected.labels(reason.code) for reason in RejectReason}

    def count_rejected(self, rejected: Rejected) -> None:
        """Count a refusal under its reason, or an unconfirmed event as failed."""
        if rejected.reason is RejectReason.NOT_ACCEPTED:
            self.failed.inc()
        else:
            self._rejected[rejected.reason].inc()
