"""The events that access control rejected, from the metrics of the HTTP server."""

import asyncio
import urllib.request
from collections import Counter

from prometheus_client.parser import text_string_to_metric_families

from headrace.ops.status.model import Rejection
from schemas.reject_reasons import ACCESS_REASONS

_TIMEOUT_SECONDS = 5.0
_TOTAL = "headrace_api_events_rejected_total"
_BY_SITE = "headrace_api_site_events_rejected_total"
_CODES = frozenset(reason.code for reason in ACCESS_REASONS)


async def read_rejections(address: str) -> list[Rejection]:
    """Return the rejections since the start of the server at an address; none if it is not reached.

    They are by registered site and reason. Those of other sites are counted together.
    """
    try:
        text = await asyncio.to_thread(_read, f"{address}/metrics")
    except OSError:
        return []
    return count_rejections(text)


def count_rejections(metrics: str) -> list[Rejection]:
    """Return the rejections in the text of `/metrics`, the most frequent first."""
    totals: Counter[str] = Counter()
    counts: Counter[tuple[str, str]] = Counter()
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            reason = sample.labels.get("reason", "")
            if sample.name == _TOTAL and reason in _CODES:
                totals[reason] += int(sample.value)
            elif sample.name == _BY_SITE:
                counts[sample.labels["site"], reason] += int(sample.value)
    for (_, reason), count in counts.items():
        totals[reason] -= count
    counts.update({("", reason): count for reason, count in totals.items() if count > 0})
    return [
        Rejection(site=site, reason=reason, events=count)
        for (site, reason), count in counts.most_common()
        if count
    ]


def _read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310 - http
        return str(response.read().decode())
