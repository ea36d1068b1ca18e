from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.alert_rules import ERROR_NEW, ERROR_RATE
from schemas.records import Alert, RawEvent
from streams.domain.alerts import aggregator as aggregator_module
from streams.domain.alerts import error_rates, new_errors
from streams.domain.alerts.fingerprints import fingerprint
from tests import reference
from tests.property.streams.alerting import raise_alerts
from tests.property.streams.histories import Logged, Shape, Step, events_of, logs, steps
from tests.unit.streams.samples import DAY_MS, HOUR, HOUR_MS, MINUTE_MS, NOON, event, source

WAITS_MS = (0, 1, 10_000, MINUTE_MS, 20 * MINUTE_MS, HOUR_MS, 31 * DAY_MS)


@st.composite
def events(draw: st.DrawFn) -> Callable[[int], RawEvent]:
    """Return a strategy of payments and errors of two sites, some from an old import."""
    fields: dict[str, Any] = {
        "type": draw(st.sampled_from(["error", "error", "error", "payment", "pageview"])),
        "site_id": draw(st.sampled_from(["shop", "shop", "blog"])),
        "error_name": draw(st.sampled_from(["TypeError", "TypeError", "RangeError", None])),
        "event_ts": NOON,
        "received_at": NOON + draw(st.sampled_from([0, 0, 24 * HOUR, 24 * HOUR + 1])),
    }
    return lambda index: event(index, **fields)


def by_id(sent: Sequence[Alert]) -> dict[str, dict[str, Any]]:
    """Return the alerts by id. Alerts with the same id must be equal."""
    rows: dict[str, dict[str, Any]] = {}
    for alert in sent:
        row = {
            name: getattr(alert, name)
            for name in ("alert_id", "site_id", "rule", "subject", "event_id", "raised_at")
        }
        assert rows.setdefault(alert.alert_id, row) == row
    return rows


@given(logs(events(), Shape(WAITS_MS, size=60, partitions=2)), steps())
def test_alerts_equal_those_of_a_scan_of_the_log(log: list[Logged], plan: list[Step]) -> None:
    """Batches, crashes and replays neither repeat an alert under another id nor lose one."""
    assert reference.alerts(events_of(log), fingerprint) == by_id(raise_alerts(log, plan))


@st.composite
def errors(draw: st.DrawFn) -> Callable[[int], RawEvent]:
    """Return a strategy of errors with many fingerprints."""
    name, site = f"E{draw(st.integers(0, 9))}", draw(st.sampled_from(["shop", "shop", "blog"]))
    return lambda index: event(index, type="error", error_name=name, site_id=site)


@given(
    st.integers(1, 3),
    logs(errors(), Shape((0, 1_000, MINUTE_MS, 20 * MINUTE_MS, 64 * MINUTE_MS), partitions=2)),
    steps(),
)
def test_new_errors_over_the_limit_are_in_a_digest_and_stay_new(
    share: int, log: list[Logged], plan: list[Step]
) -> None:
    """With any batches, crashes and replays: they raise an alert in a later hour."""
    last = max(src.offset for _, src in log), max(src.log_ms for _, src in log)
    later = source(last[0] + 1, last[1] + 3 * HOUR_MS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(new_errors, "MAX_NEW_PER_HOUR", share)
        sent = raise_alerts([*log, (None, later)], plan)

    assert reference.alerts(events_of(log), fingerprint, share=share) == by_id(sent)


@given(logs(events(), Shape((0, 1_000, MINUTE_MS, 20 * MINUTE_MS), size=60)))
def test_a_higher_threshold_never_raises_more_alerts(log: list[Logged]) -> None:
    """The alerts of `error.rate` with a threshold are a superset of those with a higher one."""
    counts = []
    for threshold in (1, 2, 4, 8):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(error_rates, "RATE_COUNT", threshold)
            sent = raise_alerts(log, [])
        counts.append(sum(alert.rule == ERROR_RATE for alert in sent))

    assert counts == sorted(counts, reverse=True)


@given(logs(events(), Shape((0, 1_000, MINUTE_MS), size=60)), steps())
def test_each_rule_raises_one_alert_per_subject_and_window(
    log: list[Logged], plan: list[Step]
) -> None:
    """An error is new once per hour, and its rate alerts are half an hour apart."""
    sent = by_id(raise_alerts(log, plan)).values()

    for rule, limit in ((ERROR_NEW, 1), (ERROR_RATE, 3)):
        subjects = [(row["site_id"], row["subject"]) for row in sent if row["rule"] == rule]
        assert all(subjects.count(subject) <= limit for subject in subjects)


@given(st.integers(1, 3), st.lists(st.integers(0, 6), max_size=30), steps(back=0))
def test_the_number_of_fingerprints_is_bounded(
    bound: int, errors: list[int], plan: list[Step]
) -> None:
    """The least recently seen error is evicted first, and is new when it returns."""
    log: list[Logged] = [
        (event(index, type="error", error_name=f"E{name}"), source(index))
        for index, name in enumerate(errors)
    ]
    no_crash = [step._replace(written=None) for step in plan]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(aggregator_module, "MAX_FINGERPRINTS", bound)
        sent = raise_alerts(log, [*no_crash, *[Step(1)] * len(log)])
        one_by_one = raise_alerts(log, [Step(1)] * len(log))

    recent: list[int] = []
    new = 0
    for name in errors:
        new += name not in recent
        recent = [*(other for other in recent if other != name), name][-bound:]
    assert len(one_by_one) == min(new, new_errors.MAX_NEW_PER_HOUR)
    assert len(sent) <= len(one_by_one)
