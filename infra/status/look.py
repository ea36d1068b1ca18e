"""One whole look at a headrace, of this machine or of a cluster."""

from pathlib import Path

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from infra.data_dir import DataDir, local_database, local_settings, read_settings
from infra.errors import UserError
from infra.process import read_pid
from infra.role_status import why_not_ready
from infra.status import database, kafka
from infra.status.judge import problems_of
from infra.status.model import Problem, Role, Status
from schemas.settings import DatabaseSettings
from sinks.sql.errors import reason


async def look(data_dir: Path) -> Status:
    """Look at Kafka, at the database and, where there is one, at the data directory's roles."""
    status = Status()
    try:
        settings = local_settings(data_dir)
        found = await kafka.look(settings.kafka)
    except UserError as error:
        status.problems.append(Problem(what=str(error), do="start it, then look again"))
    else:
        is_local = "bootstrap_servers" not in read_settings().kafka.model_fields_set
        status.roles = _with_processes(found.roles, data_dir) if is_local else found.roles
        status.flows = found.flows
        status.dead_letters = found.dead_letters
        status.problems += [
            Problem(what=f"There is no topic {name}", do="run `headrace topics create`")
            for name in found.missing
        ]
    await _look_at_database(local_database(read_settings().database, data_dir), status)
    status.problems += problems_of(status)
    return status


async def _look_at_database(settings: DatabaseSettings, status: Status) -> None:
    try:
        found = await database.look(settings)
    except (SQLAlchemyError, OSError) as error:
        what = f"The database cannot be read: {reason(error)}"
        do = "start it, or set HEADRACE_DATABASE__URL; a new one is made by `headrace db upgrade`"
        status.problems.append(Problem(what=what, do=do))
        return
    status.tables = found.tables
    status.flows = [
        msgspec.structs.replace(flow, last_commit=found.commits.get(flow.topic))
        if flow.role == "sinks"
        else flow
        for flow in status.flows
    ]


def _with_processes(roles: list[Role], data_dir: Path) -> list[Role]:
    """Add what the data directory knows of the roles that `headrace up` runs."""
    folder = DataDir(data_dir)
    if not any(folder.pid(role.name).exists() for role in roles):
        return roles  # `headrace kafka`, and roles started by hand
    named = [
        msgspec.structs.replace(
            role,
            process=read_pid(folder.pid(role.name)),
            not_ready=why_not_ready(folder.status(role.name)),
        )
        for role in roles
    ]
    others = [(name, read_pid(folder.pid(name))) for name in ("kafka", "web")]
    return [
        *(
            Role(name=name, process=pid, not_ready=None if pid else "its process is gone")
            for name, pid in others
        ),
        *named,
    ]
