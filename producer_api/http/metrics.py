"""The metrics of the role `api`.

Label values come from closed lists, never from a client.
"""

from collections import Counter as Counts
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from producer_api.access.control import AccessControl
from producer_api.events.rejection import Rejected
from schemas.event_types import EVENT_TYPES
from schemas.metric_buckets import RESPONSE_SECONDS, Buckets
from schemas.records import RejectionCount
from schemas.reject_reasons import ACCESS_REASONS, NOT_IN_KAFKA, RejectReason

#: The sites and reasons that a heartbeat reports.
_MAX_REPORTED = 1_000


class RequestCounters(Collector):
    """The metrics that every request updates.

    prometheus_client's own metrics are thread-safe, which costs six times as much (3 us a request).
    """

    def __init__(self) -> None:
        self._accepted = dict.fromkeys(EVENT_TYPES, 0)
        self._seconds = Buckets(RESPONSE_SECONDS)
        #: By path, of a closed list, and status.
        self._responses: Counts[tuple[str, int]] = Counts()

    def count_accepted(self, event_type: str, count: int = 1) -> None:
        """Count events that Kafka confirmed."""
        self._accepted[event_type] += count

    @property
    def accepted(self) -> int:
        """The number of accepted events."""
        return sum(self._accepted.values())

    def observe_request(self, seconds: float) -> None:
        """Record the duration of a request."""
        self._seconds.observe(seconds)

    def count_response(self, path: str, status: int) -> None:
        """Count a response; `path` is a path of the API, or `none`."""
        self._responses[path, status] += 1

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics, with all event types."""
        accepted = CounterMetricFamily(
            "headrace_api_events_accepted", "Events that Kafka confirmed.", labels=["type"]
        )
        for name, count in self._accepted.items():
            accepted.add_metric([name], count)
        yield accepted
        seconds = HistogramMetricFamily(
            "headrace_api_request_seconds", "Time from the request's headers to its response."
        )
        self._seconds.add_to(seconds)
        yield seconds
        responses = CounterMetricFamily(
            "headrace_api_requests", "Requests by route and status.", labels=["route", "status"]
        )
        for (path, status), count in list(self._responses.items()):
            responses.add_metric([path, str(status)], count)
        yield responses


class Rejections(Collector):
    """The rejected events by reason, and those of access control by site.

    Only registered sites are labels, because clients could invent any number of others.
    """

    def __init__(self, access: AccessControl) -> None:
        self._access = access
        self._by_reason = dict.fromkeys(RejectReason, 0)

    def count(self, reason: RejectReason) -> None:
        """Count a rejected event or request."""
        self._by_reason[reason] += 1

    def by_site(self) -> list[RejectionCount]:
        """Return the rejections of access control, the most frequent first.

        Those of sites that are not registered are summed, with the site "".
        """
        others = Counts({reason.code: self._by_reason[reason] for reason in ACCESS_REASONS})
        counts = []
        for (site_id, code), count in list(self._access.rejections.items()):
            if site_id in self._access.sites:
                counts.append(RejectionCount(site_id, code, count))
                others[code] -= count
        counts += [RejectionCount("", code, count) for code, count in others.items() if count > 0]
        return sorted(counts, key=lambda one: -one.events)[:_MAX_REPORTED]

    def collect(self) -> Iterator[Metric]:
        """Yield the counters, with all reasons."""
        rejected = CounterMetricFamily(
            "headrace_api_events_rejected",
            "Events and requests that were rejected.",
            labels=["reason"],
        )
        for reason, count in self._by_reason.items():
            rejected.add_metric([reason.code], count)
        yield rejected
        of_sites = CounterMetricFamily(
            "headrace_api_site_events_rejected",
            "Events of registered sites that access control rejected.",
            labels=["site", "reason"],
        )
        for one in self.by_site():
            if one.site_id:
                of_sites.add_metric([one.site_id, one.reason], one.events)
        yield of_sites


class Metrics:
    """The role's metrics, in a registry."""

    def __init__(
        self,
        registry: CollectorRegistry,
        waiting_bytes: Callable[[], float],
        in_flight_bytes: Callable[[], float],
        access: AccessControl,
    ) -> None:
        self.registry = registry
        self.counters = RequestCounters()
        registry.register(self.counters)
        self.rejections = Rejections(access)
        registry.register(self.rejections)
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
        in_flight = Gauge(
            "headrace_api_in_flight_bytes",
            "Bytes of request bodies over 16 KiB that are being received or processed.",
            registry=registry,
        )
        in_flight.set_function(in_flight_bytes)

    def count_rejected(self, rejected: Rejected) -> None:
        """Count a rejection by its reason, or an unconfirmed event as failed."""
        if rejected.reason in NOT_IN_KAFKA:
            self.failed.inc()
        else:
            self.rejections.count(rejected.reason)
