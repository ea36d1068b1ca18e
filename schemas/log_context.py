"""The context of log entries: the batch and the trace that are being processed."""

from collections.abc import Mapping
from contextvars import ContextVar

#: The topic, partition and first offset of the batch that this task processes; {} for none.
POSITION: ContextVar[Mapping[str, str | int]] = ContextVar("position", default={})  # noqa: B039
#: The id of the trace that this task is a part of; empty for none.
TRACE: ContextVar[str] = ContextVar("trace", default="")
