from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.alert_rules import ERROR_NEW, ERROR_RATE
from schemas.records import Alert, RawEvent
from streams.domain.alerts import aggregator as aggregator_module
from streams.domain.alerts import rules
from streams.domain.alerts.fingerprints import fingerprint
from tests import reference
from tests.property.streams.alerting import raise_alerts
from tests.property.streams.histories import Logged, Shape, Step, events_of, logs, steps
from tests.unit.streams.samples import DAY_MS, HOUR, HOUR_MS, MINUTE_MS, NOON, event, source

WAITS_MS = (0, 1, 10_000, MINUTE_MS, 20 * MINUTE_MS, HOUR_MS, 31 * DAY_MS)


@st.composite
def events(draw: st.DrawFn) -> Callable[[int], RawEvent]:
    """Payments and a few kinds of errors of two sites, some of an old import."""
    fields: dict[str, Any] = {
        "type": draw(st.sampled_from(["error", "error", "error", "payment", "pageview"])),
        "site_id": draw(st.sampled_from(["shop", "shop", "blog"])),
        "error_name": draw(st.sampled_from(["TypeError", "TypeError", "RangeError", None])),
        "event_ts": NOON,
        "received_at": NOON + draw(st.sampled_from([0, 0, 24 * HOUR, 24 * HOUR + 1])),
    }
    return lambda index: event(index, **fields)


def by_id(sent: Sequence[Alert]) -> dict[str, dict[str, Any]]:
    """Return the rows: alerts of one id must be the same."""
    rows: dict[str, dict[str, Any]] = {}
    for alert in sent:
        row = {
            name: getattr(alert, name)
            for name in ("alert_id", "site_id", "rule", "subject", "event_id", "raised_at")
        }
        assert rows.setdefault(alert.alert_id, row) == row
    return rows


@given(logs(events(), Shape(WAITS_MS, size=60, partitions=2)), steps())
def test_alerts_are_those_of_a_plain_scan(log: list[Logged], plan: list[Step]) -> None:
    """Batches, crashes and replays raise no alert anew, and lose none."""
    assert reference.alerts(events_of(log), fingerprint) == by_id(raise_alerts(log, plan))


@st.composite
def errors(draw: st.DrawFn) -> Callable[[int], RawEvent]:
    """Errors of many kinds."""
    name, site = f"E{draw(st.integers(0, 9))}", draw(st.sampled_from(["shop", "shop", "blog"]))
    return lambda index: event(index, type="error", error_name=name, site_id=site)


@given(
    st.integers(1, 3),
    logs(errors(), Shape((0, 1_000, MINUTE_MS, 20 * MINUTE_MS, 64 * MINUTE_MS), partitions=2)),
    steps(),
)
def test_what_is_over_the_share_is_in_a_digest_and_stays_new(
    share: int, log: list[Logged], plan: list[Step]
) -> None:
    """Whatever is cut, lost and read again: it raises an alert when it comes in another hour."""
    last = max(src.offset for _, src in log), max(src.log_ms for _, src in log)
    later = source(last[0] + 1, last[1] + 3 * HOUR_MS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rules, "MAX_NEW_PER_HOUR", share)
        sent = raise_alerts([*log, (None, later)], plan)

    assert reference.alerts(events_of(log), fingerprint, share=share) == by_id(sent)


@given(logs(events(), Shape((0, 1_000, MINUTE_MS, 20 * MINUTE_MS), size=60)))
def test_more_errors_needed_never_means_more_alerts(log: list[Logged]) -> None:
    """Raising the threshold of `error.rate` can only take alerts away."""
    counts = []
    for threshold in (1, 2, 4, 8):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(rules, "RATE_COUNT", threshold)
            sent = raise_alerts(log, [])
        counts.append(sum(alert.rule == ERROR_RATE for alert in sent))

    assert counts == sorted(counts, reverse=True)


@given(logs(events(), Shape((0, 1_000, MINUTE_MS), size=60)), steps())
def test_one_alert_for_each_rule_key_and_window(log: list[Logged], plan: list[Step]) -> None:
    """Within an hour an error is new once, and its rate alerts pause for half an hour."""
    sent = by_id(raise_alerts(log, plan)).values()

    for rule, limit in ((ERROR_NEW, 1), (ERROR_RATE, 3)):
        subjects = [(row["site_id"], row["subject"]) for row in sent if row["rule"] == rule]
        assert all(subjects.count(subject) <= limit for subject in subjects)


@given(st.integers(1, 3), st.lists(st.integers(0, 6), max_size=30), steps(back=0))
def test_few_fingerprints_are_remembered(bound: int, errors: list[int], plan: list[Step]) -> None:
    """The error not seen for longest is forgotten first, and then is new again."""
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
    assert len(one_by_one) == min(new, rules.MAX_NEW_PER_HOUR)
    assert len(sent) <= len(one_by_one)
