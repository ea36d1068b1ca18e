"""The job `raise_alerts` over a log, as the agent does it, with whatever interrupts it."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from schemas.records import Alert, AlertState, Subscription
from streams.domain.alert_book import AlertBook
from streams.domain.subscriptions import Subscriptions
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
        book = AlertBook(states, subscriptions)
        book.know(states.stored().values())

        def process(batch: Sequence[Logged]) -> None:
            for happened, src in batch:
                if happened is not None:
                    sent.extend(book.apply(happened, src))

        return process

    play(log, plan, states, take_over)
    return sent
