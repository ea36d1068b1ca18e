import pytest

from schemas.event_types import EVENT_TYPES, EventType
from schemas.topics import EVENTS_ALERT, EVENTS_PAGELEAVE, EVENTS_SESSION
from streams.domain.routing import routes as routing


@pytest.mark.parametrize("name", EVENT_TYPES)
def test_every_type_is_routed(name: str) -> None:
    """Each of its topics is fed by exactly one of the two routes."""
    same = routing.same_partition_topics()[name.encode()]
    alerting = name.encode() in routing.alerting_types()

    assert set(EVENT_TYPES[name].routes) == {*same, *([EVENTS_ALERT] if alerting else [])}
    assert EVENTS_ALERT not in same
    assert EVENTS_SESSION in same


def test_a_new_type_needs_only_its_row() -> None:
    """Routes are computed from the registry of event types."""
    registry = {"play": EventType("play", "", routes=(EVENTS_PAGELEAVE, EVENTS_ALERT))}

    assert routing.same_partition_topics(registry) == {b"play": (EVENTS_PAGELEAVE,)}
    assert routing.alerting_types(registry) == {b"play"}
