"""What a user can make go wrong."""


class UserError(Exception):
    """Something the user can put right; its text is one sentence or two that say what and how.

    The command line shows the text alone, in red, and exits with 1. No traceback.
    """

    exit_code = 1


class UsageError(UserError):
    """The command was called wrongly: it exits with 2."""

    exit_code = 2
