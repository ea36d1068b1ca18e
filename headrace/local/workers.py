"""The names of the worker processes of `headrace up`: the role, then `<role>-2` and so on."""

from collections.abc import Iterable


def worker_names(role: str, count: int) -> list[str]:
    """Return the names of the workers of a role. The first one has the name of the role."""
    return [role, *(f"{role}-{number}" for number in range(2, count + 1))]


def role_of(worker: str) -> str:
    """Return the role of a worker."""
    return worker.partition("-")[0]


def number_of(worker: str) -> int:
    """Return the number of a worker in its role, from 1."""
    return int(worker.partition("-")[2] or 1)


def in_order(workers: Iterable[str]) -> list[str]:
    """Return workers of one role by number."""
    return sorted(workers, key=number_of)
