"""One dead letter: where it is, where it was, why, and how it is put into `events-raw` again."""

import re
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from infra.errors import UserError
from schemas import headers as names
from schemas.positions import offset_of
from schemas.stages import SINK_STAGES, STAGES
from schemas.topics import DEAD_LETTERS, EVENTS_RAW, Topic, dead_letters_of


def dead_letter_topics() -> dict[str, Topic]:
    """Return the dead letter topics by their names."""
    return {topic.name: topic for topic in DEAD_LETTERS}


#: Of headers that the next reader writes again.
_NOT_KEPT = ("dlq-", "replay-", names.SOURCE)
_ID = re.compile(r"(?P<topic>.+)/(?P<partition>[0-9]+)/(?P<offset>[0-9]+)")


class Place(NamedTuple):
    """Where a record stands in Kafka."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the id of a dead letter; `UserError` when it is none."""
        found = _ID.fullmatch(text.strip())
        if found is None or found["topic"] not in dead_letter_topics():
            example = cls(dead_letters_of(EVENTS_RAW.name), 0, 17)
            raise UserError(
                f"{text!r} is no id of a dead letter: it is like {example}, as `headrace dlq list` "
                "shows it"
            )
        return cls(found["topic"], int(found["partition"]), int(found["offset"]))


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Why, where and when a record was dead-lettered; what no header says is empty or None.

    `source` is where the stage read it. `origin` is where that was first: in `events-raw`, for
    what the router passed on, and may have passed on twice.
    """

    id: Place
    reason: str
    stage: str
    detail: str
    source: Place | None
    origin: Place | None
    at_ms: int

    @property
    def name(self) -> str:
        """What it is known by: two letters with one name are one, written twice."""
        return f"{self.stage}:{self.origin or self.id}"

    @property
    def replayable(self) -> bool:
        """Whether it came from a stage of ours, and so can go there again."""
        topic = STAGES.get(self.stage)
        if topic is None or self.origin is None:
            return False
        return self.id.topic in (dead_letters_of(topic.name), dead_letters_of(EVENTS_RAW.name))


def to_letter(record: Any) -> DeadLetter:
    """Read what the headers of a record say; a record put there by others may lack any."""
    told = {name: value.decode("utf-8", "replace") for name, value in record.headers}
    at_ms = _number(told.get(names.DLQ_AT))
    partition = _number(told.get(names.DLQ_PARTITION))
    offset = _number(told.get(names.DLQ_OFFSET))
    topic = told.get(names.DLQ_TOPIC)
    source = None
    if topic and partition is not None and offset is not None:
        source = Place(topic, partition, offset)
    return DeadLetter(
        id=Place(record.topic, record.partition, record.offset),
        reason=told.get(names.DLQ_REASON, ""),
        stage=told.get(names.REPLAY_FOR) or told.get(names.DLQ_STAGE, ""),
        detail=told.get(names.DLQ_DETAIL, ""),
        source=source,
        origin=_origin(record, source),
        at_ms=record.timestamp if at_ms is None else at_ms,
    )


def replay_headers(record: Any, letter: DeadLetter) -> list[tuple[str, bytes]]:
    """Return the headers with which a dead letter goes into `events-raw` again."""
    kept = [(name, value) for name, value in record.headers if not name.startswith(_NOT_KEPT)]
    own = [
        (names.REPLAY_FOR, letter.stage.encode()),
        (names.REPLAY_OF, str(letter.origin).encode()),
    ]
    if letter.stage in SINK_STAGES and letter.source is not None:
        first = names.find(record.headers, names.REPLAY_OFFSET)
        own.append((names.REPLAY_OFFSET, first or str(letter.source.offset).encode()))
    return kept + own


def _origin(record: Any, source: Place | None) -> Place | None:
    if source is None or source.topic == EVENTS_RAW.name:
        return source
    try:
        src = names.Source.unpack(names.find(record.headers, names.SOURCE) or b"")
    except ValueError:
        return source
    return Place(EVENTS_RAW.name, src.partition, offset_of(src.offset))


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() else None
