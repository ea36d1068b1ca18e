"""Fingerprints of errors: name, message and the identifying stack frame (ADR 31)."""

from functools import lru_cache
from hashlib import blake2b

from schemas.records import RawEvent
from streams.domain.alerts.error_text import constant
from streams.domain.alerts.stack_frames import identifying_frame

_MAX_CHARACTERS = 2_048
#: A stack of at least this many bytes was truncated by the API.
_CUT_BYTES = 2_048 - 3


def fingerprint(event: RawEvent) -> str:
    """Return 16 hex digits, equal for occurrences of the same error; never raises."""
    parts = (
        event.error_name or "",
        _message((event.error_message or "")[:_MAX_CHARACTERS]),
        _frame((event.error_stack or "")[:_MAX_CHARACTERS]),
    )
    return blake2b("\n".join(parts).encode("utf-8", "replace"), digest_size=8).hexdigest()


# The same errors occur often.
@lru_cache(maxsize=1_000)
def _message(message: str) -> str:
    return constant(message)


@lru_cache(maxsize=1_000)
def _frame(stack: str) -> str:
    if len(stack.encode("utf-8", "replace")) >= _CUT_BYTES:
        stack = stack[: stack.rfind("\n") + 1] or stack  # a truncated line names another function
    frame = identifying_frame(stack)
    return "" if frame is None else f"{frame.function} {frame.file}"
