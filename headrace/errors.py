"""Errors that the user of a command can fix."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # aiokafka takes 50 ms to import
    from kafka_clients.problems import KafkaProblem


class UserError(Exception):
    """An error that the user can fix. The message says what is wrong and how to fix it.

    The command prints the message without a traceback, and exits with 1.
    """

    exit_code = 1


class UsageError(UserError):
    """Wrong use of a command, which exits with 2."""

    exit_code = 2


class KafkaProblemError(UserError):
    """Kafka denies authentication, authorization or a record, or a topic is misconfigured."""

    def __init__(self, problem: "KafkaProblem") -> None:
        super().__init__(problem.sentence)
        self.problem = problem


class RoleFailedError(UserError):
    """A role of `headrace up` failed during startup; `what` summarizes the failure."""

    def __init__(self, role: str, what: str, details: str) -> None:
        super().__init__(f"{role} {what}{details}")
        self.role = role
        self.what = what
