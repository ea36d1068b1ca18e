"""The warning that the codec is not compiled."""

from headrace.ops.status.model import Problem
from schemas import codec


def slow_codec() -> Problem | None:
    """Return the problem if the slow codec is active, else None."""
    if codec.IS_COMPILED:
        return None
    return Problem(
        what="The slow codec is active: it uses several times as much CPU per event",
        do="install a C compiler and Python's headers, then install headrace again",
    )
