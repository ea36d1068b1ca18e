"""The job `raise_alerts` over a log, as the agent does it, with whatever interrupts it."""

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
    asked: Mapping[str, Subscription] = MappingProxyType({}),
) -> list[Alert]:
    """Return all alerts that it ever sent; `asked` are the subscriptions, by their ids."""
    sent: list[Alert] = []
    states = FakeStates(AlertState)

    def take_over() -> Callable[[Sequence[Logged]], None]:
        subscriptions = Subscriptions()
        for name, one in asked.items():
            subscriptions.put(name, one)
        book = AlertAggregator(states, subscriptions)
        for key, state in states.stored().items():
            book.restore(key, state)

        def process(batch: Sequence[Logged]) -> None:
            book.evict(MAX_STATES)
            for happened, src in batch:
                book.advance(src)
                if happened is not None:
                    sent.extend(book.add(happened, src))
            sent.extend(alert for _, alert in book.flush())

        return process

    play(log, plan, states, take_over)
    return sent
