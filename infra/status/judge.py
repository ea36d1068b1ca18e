"""What of a status is wrong, and what to do about it: pure rules."""

from collections.abc import Iterator

from infra.status.model import Flow, Problem, Role, Status
from schemas.counted import counted

#: A topic that is further behind than this, and falls back, has too few workers.
BEHIND_SECONDS = 30.0

_START = {
    "streams": "start `headrace streams`, or `headrace up` on one machine",
    "live": "start `headrace live`, or `headrace up` on one machine",
    "sinks": "start `headrace sinks`, or `headrace up` on one machine",
}


def problems_of(status: Status) -> Iterator[Problem]:
    """Yield what is red: first roles, then topics, then dead letters."""
    for role in status.roles:
        yield from _of_role(role)
        if role.expired:
            yield _of_expired(role)
    idle = {role.name for role in status.roles if role.workers == 0}
    for flow in status.flows:
        if flow.role not in idle:
            yield from _of_flow(flow)
    for count in status.dead_letters:
        if count.open:
            letters = counted(count.open, "dead letter")
            yield Problem(
                what=f"{letters} in {count.topic} in the last hour",
                do=f"see `headrace dlq list --topic {count.topic}`, fix the cause, then "
                "`headrace dlq replay` or, if they are not worth it, `headrace dlq discard`",
            )


def _of_role(role: Role) -> Iterator[Problem]:
    if role.workers == 0:
        why = f": {role.not_ready}" if role.not_ready else ""
        yield Problem(what=f"No worker of the role {role.name} works{why}", do=_START[role.name])
    elif role.not_ready is not None:
        yield Problem(
            what=f"{role.name} is not ready: {role.not_ready}",
            do=f"see its log, logs/{role.name}.log in the data directory",
        )


def _of_expired(role: Role) -> Problem:
    return Problem(
        what=f"{counted(role.expired, 'record')} had expired in events-raw before {role.name} "
        "started and could route them; events among them are missing in sessions, page durations "
        "and alerts",
        do="stop headrace, run `headrace rebuild sessions` and `headrace rebuild durations`, and "
        "start it again; alerts are not raised later (docs/reliability.md)",
    )


def _of_flow(flow: Flow) -> Iterator[Problem]:
    if flow.stuck:
        partitions = ", ".join(map(str, flow.stuck))
        yield Problem(
            what=f"{flow.role} does not move on in {flow.topic}, partition {partitions}, with "
            f"{counted(flow.lag, 'record')} to go",
            do="look again in a minute; if it stands still then, its log says why: a stopped "
            "partition (docs/dead-letters.md), or the database away",
        )
    elif flow.grows and (flow.behind_seconds or 0) > BEHIND_SECONDS:
        yield Problem(
            what=f"{flow.role} falls behind in {flow.topic}: {counted(flow.lag, 'record')}, the "
            f"first of them waits for {flow.behind_seconds:.0f} s",
            do=f"start more workers of the role {flow.role}, up to one a partition",
        )
