"""What an operator reads where the codec is not compiled."""

from infra.status.model import Problem
from schemas import codec


def slow_codec() -> Problem | None:
    """Return that the slow codec is active, and how to get the other; None where it is not."""
    if codec.IS_COMPILED:
        return None
    return Problem(
        what="The slow codec is active: an event costs several times as much CPU",
        do="install a C compiler and Python's headers, then install headrace again",
    )
