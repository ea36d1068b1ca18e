"""What is known of a headrace at one moment, and what is wrong with it."""

from datetime import datetime

import msgspec


class Role(msgspec.Struct, frozen=True, kw_only=True):
    """One role: its workers in the consumer group, and what it says of itself on this machine.

    `workers` is None for a role without a group, `process` None where no data directory tells.
    """

    name: str
    workers: int | None = None
    process: int | None = None
    not_ready: str | None = None


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """How a role gets on with one topic, summed over its partitions.

    `rate` is of records done a second, between two looks. `done_until` is the log time of the
    last record done, of the partition that is furthest behind; `behind_seconds` is how long the
    first record not done has waited there. `stuck` are partitions with work that did not move.
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
    """Dead letters of one topic: all that are kept, replayed ones too, and the last hour's."""

    topic: str
    kept: int
    last_hour: int


class TableCount(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of one table; an estimate where counting would take long."""

    table: str
    rows: int
    estimated: bool


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is red, and what to do about it: a sentence each."""

    what: str
    do: str


class Status(msgspec.Struct, kw_only=True):
    """All of it; `problems` is empty when all is well."""

    roles: list[Role] = msgspec.field(default_factory=list)
    flows: list[Flow] = msgspec.field(default_factory=list)
    dead_letters: list[DeadLetterCount] = msgspec.field(default_factory=list)
    tables: list[TableCount] = msgspec.field(default_factory=list)
    problems: list[Problem] = msgspec.field(default_factory=list)
