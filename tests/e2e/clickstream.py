"""A random clickstream of months, as exported from a site's previous tracker."""

import json
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

SITE = "imported"
GAP = timedelta(minutes=30)
START = datetime(2025, 3, 1, tzinfo=UTC)
_PAGES = [f"/page/{number}" for number in range(60)]
_TYPES = ["pageview"] * 6 + ["pageleave"] * 3 + ["button_click", "error", "payment"]

Event = dict[str, Any]


def events(count: int, seed: int) -> list[Event]:
    """Return `count` events of returning visitors over months, sorted by time."""
    choose = random.Random(seed)  # noqa: S311 - a test's choice
    created: list[Event] = []
    while len(created) < count:
        session = f"s{choose.randrange(count // 12)}"
        at = START + timedelta(seconds=choose.randrange(90 * 86_400))
        for _ in range(choose.randrange(1, 14)):
            at += timedelta(seconds=choose.choice([5, 40, 300, 1_500, 1_800, 1_801, 4_000]))
            created.append(_event(choose, session, at))
    return sorted(created[:count], key=lambda event: str(event["timestamp"]))


def in_visits(stream: Sequence[Event]) -> int:
    """Return the number of events in visits: in runs with other than passive events."""
    runs: dict[str, list[list[Event]]] = {}
    for event in sorted(stream, key=_moment):
        of_session = runs.setdefault(event["session_id"], [])
        if not of_session or _moment(event) - _moment(of_session[-1][-1]) > GAP:
            of_session.append([])
        of_session[-1].append(event)
    all_runs = [run for of_session in runs.values() for run in of_session]
    return sum(len(run) for run in all_runs if {event["type"] for event in run} != {"pageleave"})


def _moment(event: Event) -> datetime:
    return datetime.fromisoformat(event["timestamp"])


def write(path: Path, stream: list[Event], seed: int) -> None:
    """Write the export: out of order by days, with duplicates and invalid lines."""
    choose = random.Random(seed)  # noqa: S311
    lines = list(_lines(stream, choose))
    late = [(number + choose.randrange(-1_500, 1_500), line) for number, line in enumerate(lines)]
    path.write_text("\n".join(line for _, line in sorted(late)) + "\n")


def _lines(stream: list[Event], choose: random.Random) -> Iterator[str]:
    for event in stream:
        line = json.dumps(event)
        yield line
        if choose.random() < 0.03:
            yield line
        if choose.random() < 0.01:
            yield choose.choice([line[:-9], "not json", json.dumps({**event, "type": "?"}), "[]"])


def _event(choose: random.Random, session: str, at: datetime) -> Event:
    kind = choose.choice(_TYPES)
    event: Event = {
        "type": kind,
        "site_id": SITE,
        "session_id": session,
        "event_id": str(UUID(int=choose.getrandbits(128), version=4)),
        "timestamp": at.isoformat(),
        "path": choose.choice(_PAGES),
    }
    if kind == "pageleave":
        event["duration"] = choose.randrange(100, 200_000)
    return event
