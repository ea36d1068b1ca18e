"""Collect the status of headrace, on this machine or in a cluster."""

import time
from pathlib import Path

from headrace.admin.database import check_exists
from headrace.errors import KafkaProblemError, UserError
from headrace.local import disk_space
from headrace.local.data_dir import DataDir, database_settings, local_settings
from headrace.local.process import read_pid
from headrace.ops.status import database, kafka
from headrace.ops.status.model import Problem, Role, Status
from headrace.ops.status.problems import find_problems
from headrace.ops.status.processes import processes_of, rejections_of
from headrace.ops.status.slow_codec import slow_codec
from headrace.roles.status import expired_of, why_not_ready
from schemas.clock_tolerance import LEAD_MS
from schemas.settings import DatabaseSettings
from sinks.sql.errors import DATABASE_ERRORS, driver_message
from streams.engine.cluster import Cluster


async def collect_status(data_dir: Path) -> Status:
    """Return the status of Kafka, of the database and, if it exists, of the data directory."""
    status, cluster = Status(problems=_disk_problems(data_dir)), None
    try:
        settings = local_settings(data_dir)
        found = await kafka.read_status(settings.kafka)
    except KafkaProblemError as error:
        status.problems.append(Problem(what=error.problem.message, do=error.problem.hint))
    except UserError as error:
        what, _, do = str(error).partition(". ")
        status.problems.append(Problem(what=what, do=do or "start it, then run this again"))
    else:
        is_local = settings.kafka.bootstrap_servers == DataDir(data_dir).kafka_address
        status.roles = _with_processes(found.roles, data_dir) if is_local else found.roles
        status.consumers, cluster = found.consumers, found.cluster
        status.dead_letters = found.dead_letters
        status.processes = processes_of(found.heartbeats, time.time())
        status.rejections = rejections_of(found.heartbeats)
        status.problems += [
            Problem(what=f"There is no topic {name}", do="run `headrace topics create`")
            for name in found.missing
        ]
        status.problems += clock_problems(found.ahead_seconds)
    await _add_database(database_settings(data_dir), status, cluster)
    status.problems += find_problems(status)
    status.notes += notes()
    return status


def notes() -> list[Problem]:
    """Return the notes about this installation."""
    return [note] if (note := slow_codec()) else []


def clock_problems(ahead_seconds: float) -> list[Problem]:
    """Return a problem if log times are ahead of this machine's clock."""
    if ahead_seconds * 1_000 <= LEAD_MS:
        return []
    return [
        Problem(
            what=f"The log append times of the last events are {ahead_seconds / 60:,.0f} minutes "
            "ahead of this machine's clock",
            do="correct the clock of Kafka, or of this machine (NTP); until then, stream time is "
            "limited to 5 minutes ahead of the other clocks",
        )
    ]


def _disk_problems(data_dir: Path) -> list[Problem]:
    full = disk_space.find_full_disk(data_dir.absolute())
    if full is None:
        return []
    (what, _, do) = full.partition(": ")
    return [Problem(what=what, do=do)]


async def _add_database(
    settings: DatabaseSettings, status: Status, cluster: Cluster | None
) -> None:
    try:
        check_exists(settings)
        found = await database.read_status(settings)
    except UserError as error:
        what, _, do = str(error).partition(". ")
        status.problems.append(Problem(what=what, do=do))
        return
    except DATABASE_ERRORS as error:
        what = f"The database {settings.redacted} cannot be read: {driver_message(error)}"
        do = "start it, or set HEADRACE_DATABASE__URL; `headrace db upgrade` creates a new one"
        status.problems.append(Problem(what=what, do=do))
        return
    if cluster is not None and found.clusters - {cluster}:
        status.problems.append(
            Problem(
                what=f"The database belongs to another Kafka cluster than {cluster.cluster_id} in "
                f"epoch {cluster.epoch}",
                do="configure a database and a cluster that belong together, or stop headrace and "
                "run `headrace adopt-cluster`",
            )
        )
    status.tables = found.tables
    for consumer in status.consumers:
        if consumer.role == "sinks":
            consumer.last_commit = found.commits.get(consumer.topic)


def _with_processes(roles: list[Role], data_dir: Path) -> list[Role]:
    """Add the processes and states of the workers that `headrace up` runs.

    A role with several workers has an entry for each; the first one has the size of the group.
    """
    folder = DataDir(data_dir)
    if not any(folder.pid(role.name).exists() for role in roles):
        return roles  # `headrace kafka`, with roles started separately
    # With an external Kafka, `headrace up` runs no process for it.
    names = ["kafka"] if folder.pid("kafka").exists() else []
    others = [(name, read_pid(folder.pid(name))) for name in [*names, *folder.workers("web")]]
    gone = "its process has exited"
    return [
        *(Role(name=name, process=pid, not_ready=None if pid else gone) for name, pid in others),
        *(_worker(name, role, folder) for role in roles for name in folder.workers(role.name)),
    ]


def _worker(name: str, role: Role, folder: DataDir) -> Role:
    status = folder.status(name)
    return Role(
        name=name,
        workers=role.workers if name == role.name else None,
        process=read_pid(folder.pid(name)),
        not_ready=why_not_ready(status),
        expired=expired_of(status),
    )
