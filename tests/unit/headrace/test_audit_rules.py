"""The audit knows every alert rule."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, cast

from sqlalchemy import Row

from headrace.ops.audit.alert_check import check
from schemas.alert_rules import RATE_COUNT, RULES
from schemas.records import Alert, AlertState, RawEvent
from streams.domain.alerts.aggregator import AlertAggregator
from streams.domain.alerts.subscriptions import Subscriptions
from tests.unit.streams.fake_states import FakeStates
from tests.unit.streams.samples import event, source

#: Events that raise at least one alert of each rule.
EVENTS = [
    event("paid", type="payment", amount=Decimal("49.90"), currency="EUR"),
    *(event(f"error-{number}", type="error", error_name="E") for number in range(RATE_COUNT)),
]


class _Row:
    """A row of `alerts`."""

    def __init__(self, alert: Alert) -> None:
        self.__dict__.update({name: getattr(alert, name) for name in alert.__struct_fields__})
        self.details = json.loads(alert.details)
        self.raised_at = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=alert.raised_at)


def _raised() -> list[tuple[Alert, RawEvent]]:
    alerts = AlertAggregator(FakeStates(AlertState), Subscriptions())
    return [
        (alert, one)
        for offset, one in enumerate(EVENTS)
        for alert in alerts.add(one, source(offset))
    ]


def test_the_audit_accepts_what_each_rule_raises() -> None:
    """A new rule needs an event here, and a check in `headrace/ops/audit/alert_check.py`."""
    raised = _raised()

    assert {alert.rule for alert, _ in raised} == set(RULES)
    for alert, one in raised:
        assert check(cast("Row[Any]", _Row(alert)), [one]) is None, alert.rule
