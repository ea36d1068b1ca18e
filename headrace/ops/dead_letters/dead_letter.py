"""A dead letter: its id, source and reason, and the headers of its replay."""

import re
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from headrace.errors import UserError
from schemas import headers as names
from schemas.positions import offset_of
from schemas.stages import SINK_STAGES, STAGES
from schemas.topics import DEAD_LETTERS, EVENTS_RAW, Topic, dead_letters_of


def dead_letter_topics() -> dict[str, Topic]:
    """Return the dead letter topics by name."""
    return {topic.name: topic for topic in DEAD_LETTERS}


#: Prefixes of headers that a replay sets itself instead of copying them.
_REWRITTEN = ("dlq-", "replay-", names.SOURCE, names.SOURCE_TEXT)
_ID = re.compile(r"(?P<topic>.+)/(?P<partition>[0-9]+)/(?P<offset>[0-9]+)")


class RecordId(NamedTuple):
    """The topic, partition and offset of a record."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the id of a dead letter; raises `UserError` if it is invalid."""
        found = _ID.fullmatch(text.strip())
        if found is None or found["topic"] not in dead_letter_topics():
            example = cls(dead_letters_of(EVENTS_RAW.name), 0, 17)
            raise UserError(
                f"{text!r} is not the id of a dead letter: ids look like {example}, see "
                "`headrace dlq list`"
            )
        return cls(found["topic"], int(found["partition"]), int(found["offset"]))


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Why, where and when a record was dead-lettered. Fields without a header are empty or None.

    `source` is the record that the stage read. `origin` is the record in `events-raw` from which
    the router derived the source, or else the source itself.
    """

    id: RecordId
    reason: str
    stage: str
    detail: str
    source: RecordId | None
    origin: RecordId | None
    at_ms: int

    @property
    def key(self) -> str:
        """The deduplication key: dead letters with the same key are duplicates."""
        return f"{self.stage}:{self.origin or self.id}"

    @property
    def is_replayable(self) -> bool:
        """Whether a stage of headrace wrote it, and can process its record again."""
        topic = STAGES.get(self.stage)
        if topic is None or self.origin is None:
            return False
        return self.id.topic in (dead_letters_of(topic.name), dead_letters_of(EVENTS_RAW.name))


def to_letter(record: Any) -> DeadLetter:
    """Convert a record of a dead letter topic. Records of other programs may lack any header."""
    values = {name: value.decode("utf-8", "replace") for name, value in record.headers}
    at_ms = _number(values.get(names.DLQ_AT))
    partition = _number(values.get(names.DLQ_PARTITION))
    offset = _number(values.get(names.DLQ_OFFSET))
    topic = values.get(names.DLQ_TOPIC)
    source = None
    if topic and partition is not None and offset is not None:
        source = RecordId(topic, partition, offset)
    return DeadLetter(
        id=RecordId(record.topic, record.partition, record.offset),
        reason=values.get(names.DLQ_REASON, ""),
        stage=values.get(names.REPLAY_FOR) or values.get(names.DLQ_STAGE, ""),
        detail=values.get(names.DLQ_DETAIL, ""),
        source=source,
        origin=_origin(record, source),
        at_ms=record.timestamp if at_ms is None else at_ms,
    )


def replay_headers(record: Any, letter: DeadLetter) -> list[tuple[str, bytes]]:
    """Return the headers for the replay of a dead letter to `events-raw`."""
    kept = [(name, value) for name, value in record.headers if not name.startswith(_REWRITTEN)]
    added = [
        (names.REPLAY_FOR, letter.stage.encode()),
        (names.REPLAY_OF, str(letter.origin).encode()),
    ]
    if letter.stage in SINK_STAGES and letter.source is not None:
        first = names.find(record.headers, names.REPLAY_OFFSET)
        added.append((names.REPLAY_OFFSET, first or str(letter.source.offset).encode()))
    return kept + added


def _origin(record: Any, source: RecordId | None) -> RecordId | None:
    if source is None or source.topic == EVENTS_RAW.name:
        return source
    try:
        src = names.Source.unpack(names.find(record.headers, names.SOURCE) or b"")
    except ValueError:
        return source
    return RecordId(EVENTS_RAW.name, src.partition, offset_of(src.offset))


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() else None
