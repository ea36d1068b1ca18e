"""What a user can make go wrong."""

from kafka_clients.refusals import KafkaProblem


class UserError(Exception):
    """Something the user can put right; its text is one sentence or two that say what and how.

    The command line shows the text alone, in red, and exits with 1. No traceback.
    """

    exit_code = 1


class UsageError(UserError):
    """The command was called wrongly: it exits with 2."""

    exit_code = 2


class RefusedError(UserError):
    """Kafka refuses something: a login, an access, a record."""

    def __init__(self, refusal: KafkaProblem) -> None:
        super().__init__(refusal.sentence)
        self.refusal = refusal


class RoleFailedError(UserError):
    """A role of `headrace up` failed while it started; `what` is the failure in a few words."""

    def __init__(self, role: str, what: str, more: str) -> None:
        super().__init__(f"{role} {what}{more}")
        self.role = role
        self.what = what
