"""What is known of a headrace at one moment, and what is wrong with it."""

from datetime import datetime

import msgspec


class Role(msgspec.Struct, kw_only=True):
    """One role: its workers in the consumer group, and what it says of itself on this machine.

    `workers` is None for a role without a group, `process` None where no data directory tells.
    `expired` are the records of its source that had expired unread when it started.
    """

    name: str
    workers: int | None = None
    process: int | None = None
    not_ready: str | None = None
    expired: int = 0


class Flow(msgspec.Struct, kw_only=True):
    """Progress of a role in one topic, summed over its partitions.

    `rate` is of records done a second, between two looks. `done_until`: all records that were
    written before are done. It is the log time of the oldest record that is not done; with lag 0,
    the time of the second look. `behind_seconds` is the age of that oldest record. `stuck` are
    partitions with work that did not move.
    """

    role: str
    topic: str
    lag: int
    grows: bool
    rate: float
    done_until: datetime | None = None
    behind_seconds: float | None = None
    last_commit: datetime | None = None
    stuck: list[int] = msgspec.field(default_factory=list)


class DeadLetterCount(msgspec.Struct, frozen=True, kw_only=True):
    """Dead letters of one topic: all records that it holds, and those of the last hour.

    `open` are those of the last hour that were neither replayed nor discarded. `replayed` and
    `discarded` are counted since 60 days.
    """

    topic: str
    kept: int
    last_hour: int
    open: int
    replayed: int = 0
    discarded: int = 0


class TableCount(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of one table; an estimate where counting would take long."""

    table: str
    rows: int
    estimated: bool


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is red, or worth a note, and what to do about it: a sentence each."""

    what: str
    do: str


class Status(msgspec.Struct, kw_only=True):
    """All of it; `problems` is empty when all is well, also if there are `notes`."""

    roles: list[Role] = msgspec.field(default_factory=list)
    flows: list[Flow] = msgspec.field(default_factory=list)
    dead_letters: list[DeadLetterCount] = msgspec.field(default_factory=list)
    tables: list[TableCount] = msgspec.field(default_factory=list)
    problems: list[Problem] = msgspec.field(default_factory=list)
    notes: list[Problem] = msgspec.field(default_factory=list)
