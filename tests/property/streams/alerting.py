"""`raise_alerts` over a log, in batches with crashes, as its agent does."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from schemas.records import Alert, AlertState, Subscription
from streams.domain.alerts.aggregator import AlertAggregator
from streams.domain.alerts.subscriptions import Subscriptions
from streams.engine.capacity import MAX_STATES
from tests.property.streams.histories import Logged, Step, play
from tests.unit.streams.fake_states import FakeStates


def raise_alerts(
    log: Sequence[Logged],
    plan: Sequence[Step],
    subscribed: Mapping[str, Subscription] = MappingProxyType({}),
) -> list[Alert]:
    """Return all published alerts, with repeats. `subscribed` are the subscriptions by id."""
    sent: list[Alert] = []
    states = FakeStates(AlertState)

    def take_over() -> Callable[[Sequence[Logged]], None]:
        subscriptions = Subscriptions()
        for name, one in subscribed.items():
            subscriptions.put(name, one)
        aggregator = AlertAggregator(states, subscriptions)
        for key, state in states.stored().items():
            aggregator.restore(key, state)

        def process(batch: Sequence[Logged]) -> None:
            aggregator.evict(MAX_STATES)
            for happened, src in batch:
                aggregator.advance(src)
                if happened is not None:
                    sent.extend(aggregator.add(happened, src))
            sent.extend(alert for _, alert in aggregator.flush())

        return process

    play(log, plan, states, take_over)
    return sent
