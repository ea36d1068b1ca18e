"""The status of headrace at one point in time, and its problems."""

from datetime import datetime

import msgspec


class Role(msgspec.Struct, kw_only=True):
    """A role: the number of workers in its consumer group, and its process on this machine.

    `workers` is None for a role without a group, `process` is None without a data directory.
    `expired` is the number of records of its source topic that were deleted before it read them.
    """

    name: str
    workers: int | None = None
    process: int | None = None
    not_ready: str | None = None
    expired: int = 0


class ConsumerProgress(msgspec.Struct, kw_only=True):
    """The progress of a role in one topic, summed over its partitions.

    `rate` is in records per second between two samples. All records before `done_until` were
    processed: it is the log append time of the oldest unprocessed record, or the time of the second
    sample if there is no lag. `behind_seconds` is the age of the oldest unprocessed record. `stuck`
    are the partitions with a lag but without progress between the samples.
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
    """The number of dead letters in one topic: all of them, and those of the last hour.

    `open` are those of the last hour that were neither replayed nor discarded. `replayed` and
    `discarded` are those of the last 60 days.
    """

    topic: str
    kept: int
    last_hour: int
    open: int
    replayed: int = 0
    discarded: int = 0


class TableCount(msgspec.Struct, frozen=True, kw_only=True):
    """The number of rows of one table, or an estimate for large tables."""

    table: str
    rows: int
    estimated: bool


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """A process of the cluster, as it reported itself `seen_at`, by the clock of Kafka.

    `silent_seconds` is the time since then if that is too long, else None. `counters` are counts
    since its start.
    """

    role: str
    host: str
    pid: int
    version: str
    started_at: datetime
    seen_at: datetime
    silent_seconds: float | None = None
    not_ready: str | None = None
    counters: dict[str, int] = {}


class Rejection(msgspec.Struct, frozen=True, kw_only=True):
    """Events that access control rejected since the start of the running `api` processes.

    `site` is "" for all sites that are not registered.
    """

    site: str
    reason: str
    events: int


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """A problem or a note (`what`), and what to do about it (`do`), as sentences."""

    what: str
    do: str


class Status(msgspec.Struct, kw_only=True):
    """The whole status. `notes` are not problems."""

    roles: list[Role] = msgspec.field(default_factory=list)
    processes: list[Process] = msgspec.field(default_factory=list)
    consumers: list[ConsumerProgress] = msgspec.field(default_factory=list, name="flows")
    dead_letters: list[DeadLetterCount] = msgspec.field(default_factory=list)
    tables: list[TableCount] = msgspec.field(default_factory=list)
    rejections: list[Rejection] = msgspec.field(default_factory=list)
    problems: list[Problem] = msgspec.field(default_factory=list)
    notes: list[Problem] = msgspec.field(default_factory=list)
