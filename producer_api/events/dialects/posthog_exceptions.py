"""The errors of PostHog's clients."""

from typing import Any

from producer_api.events.dialects.members import as_list, as_object
from producer_api.events.dialects.model import Event

#: More than fit into a stack, which is truncated.
_MAX_ERRORS = 100
_MAX_FRAMES = 200


def error_of(properties: dict[str, Any]) -> Event:
    """Return the fields of an error; members that are wholly in them are removed.

    The first of `$exception_list` is the error, the others are its causes.
    """
    listed = as_list(properties.get("$exception_list") or [])
    errors = [as_object(error) for error in listed[:_MAX_ERRORS]]
    if not errors:  # of clients before 2024
        return {
            "error_name": properties.pop("$exception_type", None),
            "error_message": properties.pop("$exception_message", None),
            "error_stack": properties.pop("$exception_stack_trace_raw", None),
        }
    first = errors[0]
    return {
        "error_name": first.get("type"),
        "error_message": first.get("value"),
        "error_stack": "\n".join(line for error in errors for line in _stack(error)) or None,
    }


def _stack(error: dict[str, Any]) -> list[str]:
    """Return the lines of a stack, the innermost frame first; none without frames."""
    frames = as_list(as_object(error.get("stacktrace")).get("frames") or [])
    if not frames:
        return []
    lines = [_line(as_object(frame)) for frame in frames[: -_MAX_FRAMES - 1 : -1]]
    return [f"{error.get('type')}: {error.get('value')}", *lines]


def _line(frame: dict[str, Any]) -> str:
    place = [frame.get("filename") or frame.get("abs_path"), frame.get("lineno")]
    where = ":".join(str(part) for part in [*place, frame.get("colno")] if part is not None)
    return f"    at {frame.get('function') or '?'} ({where})"
