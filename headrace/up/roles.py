"""The roles that `headrace up` runs: how many workers of each, and their command lines."""

import os
from pathlib import Path
from typing import NamedTuple

from headrace.errors import UsageError
from headrace.local.data_dir import DataDir
from headrace.local.options import address_of, is_loopback
from headrace.local.workers import role_of, worker_names
from schemas.plurals import counted
from schemas.settings import PREFIX, Settings

#: The roles in start order.
ROLES = ("web", "streams", "live", "sinks")

#: The stop order, that of the data flow: first `web`, which accepts events; then `streams` and
#: `live` in parallel; then `sinks`, which store the last results of `streams`; last the broker.
STOP_ORDER = (("web",), ("streams", "live"), ("sinks",), ("kafka",))

_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


class WorkerCounts(NamedTuple):
    """The number of workers of each role; `live` always has one."""

    web: int = 1
    streams: int = 1
    sinks: int = 1

    def names(self, role: str) -> list[str]:
        """Return the names of the workers of a role."""
        return worker_names(role, getattr(self, role, 1))

    @property
    def all_names(self) -> list[str]:
        """The names of all workers, in start order."""
        return [name for role in ROLES for name in self.names(role)]


class RequestedCounts(NamedTuple):
    """The options `--web`, `--streams` and `--sinks`; None if an option was not given."""

    web: int | None = None
    streams: int | None = None
    sinks: int | None = None


def worker_counts(settings: Settings, requested: RequestedCounts, cores: int) -> WorkerCounts:
    """Return the number of workers of each role; by default as many as the cores can use.

    On one or two cores, that is one of each. An event costs `streams` and `sinks` twice as much CPU
    as `web`. SQLite has one writer at a time, so more sinks do not help it. Raises UsageError if
    there are more workers than partitions, because the rest of them would be idle.
    """
    partitions = settings.kafka.partitions
    for option in ("streams", "sinks"):
        if (count := getattr(requested, option) or 1) > partitions:
            raise UsageError(
                f"--{option} {count}: a partition has one worker, and the topics have "
                f"{counted(partitions, 'partition')}, so use at most {partitions}"
            )
    workers = max(1, min(cores // 2, partitions))
    is_sqlite = settings.database.url.startswith("sqlite")
    return WorkerCounts(
        web=requested.web or max(1, cores // 4),
        streams=requested.streams or workers,
        sinks=requested.sinks or (1 if is_sqlite else workers),
    )


def available_cores() -> int:
    """Return the number of cores that this process may use, by its affinity and cgroup quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(cores or 1, _quota_cores(_CGROUP_QUOTA)))


def _quota_cores(file: Path) -> int:
    """Return the CPU quota of a container, rounded up; a large number without one."""
    try:
        quota, period = file.read_text().split()
        return -(-int(quota) // int(period))
    except (OSError, ValueError):  # no cgroup v2, or "max"
        return 1 << 20


def command(name: str, counts: WorkerCounts, settings: Settings, data_dir: DataDir) -> list[str]:
    """Return the arguments of `headrace` that run a worker."""
    status = data_dir.status(name)
    role = role_of(name)
    if role == "web":
        others = [other for other in counts.all_names if role_of(other) != "web"]
        workers = [argument for other in others for argument in ("--worker", other)]
        peers = [argument for peer in counts.names("web") for argument in ("--peer", peer)]
        return ["web", "--name", name, "--status-dir", str(status.parent), *workers, *peers]
    arguments = [role, "--status-file", str(status)]
    if name == "sinks":  # the first worker prepares the database for the others
        arguments += ["--upgrade-database"]
        if is_loopback(settings.api.host):
            arguments += ["--owner-token", str(data_dir.owner_token)]
    return arguments


def environment(settings: Settings) -> dict[str, str]:
    """Return the variables that the roles get in addition to the environment and `.env`."""
    values = {
        "KAFKA__BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers,
        "KAFKA__PARTITIONS": settings.kafka.partitions,
        "DATABASE__URL": settings.database.url,
        "DATABASE__URL_FILE": "",
        "SECRETS__KEY_FILE": settings.secrets.key_file,
        "API__HOST": settings.api.host,
        "API__PORT": settings.api.port,
        "API__SITES": settings.api.sites,
        "METRICS__PORT": 0,  # `web` serves the metrics of all roles
        "QUERY__PUBLIC_URL": settings.query.public_url or address_of(settings.api),
    }
    return {f"{PREFIX}{name}": str(value) for name, value in values.items()}
