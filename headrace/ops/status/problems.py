"""Find the problems in a status, and how to fix them. Pure functions."""

from collections.abc import Iterator, Sequence

from headrace.ops.status.model import ConsumerProgress, Problem, Process, Role, Status
from schemas.plurals import counted

#: A role whose oldest unprocessed record is older, and whose lag grows, needs more workers.
MAX_BEHIND_SECONDS = 30.0

_START = {
    "streams": "start `headrace streams`, or `headrace up` on one machine",
    "live": "start `headrace live`, or `headrace up` on one machine",
    "sinks": "start `headrace sinks`, or `headrace up` on one machine",
}


def find_problems(status: Status) -> Iterator[Problem]:
    """Yield the problems: first those of roles, then of topics, then of dead letters."""
    for role in status.roles:
        yield from _role_problems(role)
        if role.expired:
            yield _expired_problem(role)
    local = {role.name for role in status.roles if role.not_ready is not None}
    for process in status.processes:
        if process.role not in local:
            yield from _process_problems(process)
    if "web" not in local:
        yield from _api_problems(status.processes)
    idle = {role.name for role in status.roles if role.workers == 0}
    for consumer in status.consumers:
        if consumer.role not in idle:
            yield from _consumer_problems(consumer)
    for count in status.dead_letters:
        if count.open:
            letters = counted(count.open, "dead letter")
            yield Problem(
                what=f"{letters} in {count.topic} in the last hour",
                do=f"see `headrace dlq list --topic {count.topic}`, fix the cause, then run "
                "`headrace dlq replay` or, if no replay is needed, `headrace dlq discard`",
            )


def _role_problems(role: Role) -> Iterator[Problem]:
    if role.workers == 0:
        why = f": {role.not_ready}" if role.not_ready else ""
        yield Problem(
            what=f"No worker of the role {role.name} is running{why}", do=_START[role.name]
        )
    elif role.not_ready is not None:
        yield Problem(
            what=f"{role.name} is not ready: {role.not_ready}",
            do=f"see its log, logs/{role.name}.log in the data directory",
        )


def _process_problems(process: Process) -> Iterator[Problem]:
    if process.not_ready is not None and process.silent_seconds is None:
        yield Problem(
            what=f"{process.role} on {process.host} (process {process.pid}) is not ready: "
            f"{process.not_ready}",
            do="see its log",
        )


def _api_problems(processes: Sequence[Process]) -> Iterator[Problem]:
    """Yield a problem if processes report themselves, but none that accepts events."""
    reporting = {process.role for process in processes if process.silent_seconds is None}
    if reporting and not reporting & {"api", "web"}:
        yield Problem(
            what="No process of the role api is running, so no events are accepted",
            do="start `headrace api`, or `headrace up` on one machine",
        )


def _expired_problem(role: Role) -> Problem:
    return Problem(
        what=f"{counted(role.expired, 'record')} of events-raw expired before {role.name} routed "
        "them; their events are missing in sessions, page durations and alerts",
        do="stop headrace, run `headrace rebuild sessions` and `headrace rebuild durations`, and "
        "start it again; alerts are not raised later (docs/reliability.md)",
    )


def _consumer_problems(consumer: ConsumerProgress) -> Iterator[Problem]:
    if consumer.stuck:
        partitions = ", ".join(map(str, consumer.stuck))
        yield Problem(
            what=f"{consumer.role} makes no progress in {consumer.topic}, partition {partitions}, "
            f"with a lag of {counted(consumer.lag, 'record')}",
            do="run this again in a minute; if it still makes no progress, its log says why: a "
            "stopped partition (docs/dead-letters.md), or a database that cannot be reached",
        )
    elif consumer.grows and (consumer.behind_seconds or 0) > MAX_BEHIND_SECONDS:
        yield Problem(
            what=f"{consumer.role} falls behind in {consumer.topic}: "
            f"{counted(consumer.lag, 'record')}, the oldest {consumer.behind_seconds:.0f} s old",
            do=f"start more workers of the role {consumer.role}, up to one per partition",
        )
