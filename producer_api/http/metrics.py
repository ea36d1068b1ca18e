"""The metrics of the role `api`.

Label values come from closed lists, never from a client.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from producer_api.access.control import AccessControl
from producer_api.events.rejection import Rejected
from schemas.event_types import EVENT_TYPES
from schemas.reject_reasons import NOT_IN_KAFKA, RejectReason

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class RequestCounters(Collector):
    """The metrics that every request updates.

    prometheus_client's own metrics are thread-safe, which costs six times as much (3 us a request).
    """

    def __init__(self) -> None:
        self._accepted = dict.fromkeys(EVENT_TYPES, 0)
        self._requests = [0] * (len(_SECONDS) + 1)
        self._seconds = 0.0

    def count_accepted(self, event_type: str, count: int = 1) -> None:
        """Count events that Kafka confirmed."""
        self._accepted[event_type] += count

    def observe_request(self, seconds: float) -> None:
        """Record the duration of a request."""
        self._requests[bisect_left(_SECONDS, seconds)] += 1
        self._seconds += seconds

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics, with all event types."""
        accepted = CounterMetricFamily(
            "headrace_api_events_accepted", "Events that Kafka confirmed.", labels=["type"]
        )
        for name, count in self._accepted.items():
            accepted.add_metric([name], count)
        yield accepted
        bounds = [*(str(float(bound)) for bound in _SECONDS), "+Inf"]
        buckets = list(zip(bounds, map(float, accumulate(self._requests)), strict=True))
        requests = HistogramMetricFamily(
            "headrace_api_request_seconds", "Time from the request's headers to its response."
        )
        requests.add_metric([], buckets, self._seconds)
        yield requests


class SiteRejections(Collector):
    """The rejections of access control by site: registered ones only, to bound the labels."""

    def __init__(self, access: AccessControl) -> None:
        self._access = access

    def collect(self) -> Iterator[Metric]:
        """Yield the counter."""
        rejected = CounterMetricFamily(
            "headrace_api_site_events_rejected",
            "Events of registered sites that access control rejected.",
            labels=["site", "reason"],
        )
        for (site_id, code), count in self._access.rejections.items():
            if site_id in self._access.sites:
                rejected.add_metric([site_id, code], count)
        yield rejected


class Metrics:
    """The role's metrics, in a registry."""

    def __init__(
        self,
        registry: CollectorRegistry,
        waiting_bytes: Callable[[], float],
        access: AccessControl,
    ) -> None:
        self.registry = registry
        registry.register(SiteRejections(access))
        self.counters = RequestCounters()
        registry.register(self.counters)
        rejected = Counter(
            "headrace_api_events_rejected_total",
            "Events and requests that were rejected.",
            ["reason"],
            registry=registry,
        )
        self.failed = Counter(
            "headrace_api_events_failed_total",
            "Valid events that Kafka did not confirm in time.",
            registry=registry,
        )
        waiting = Gauge(
            "headrace_api_waiting_bytes",
            "Bytes of records that Kafka has not confirmed yet.",
            registry=registry,
        )
        waiting.set_function(waiting_bytes)
        # Created at once, so that all reasons are exposed with 0.
        self._rejected = {reason: rejected.labels(reason.code) for reason in RejectReason}

    def count_rejected(self, rejected: Rejected) -> None:
        """Count a rejection by its reason, or an unconfirmed event as failed."""
        if rejected.reason in NOT_IN_KAFKA:
            self.failed.inc()
        else:
            self._rejected[rejected.reason].inc()
