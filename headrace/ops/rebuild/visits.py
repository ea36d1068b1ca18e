"""The records of the topic `visits` for rebuilt rows of `sessions`."""

from collections.abc import Callable, Iterable, Iterator

from headrace.ops.rebuild.plan import Change
from schemas.codec import encode
from sinks.rows import flat_visit_of
from streams.engine.producer import OutRecord


def visit_records(
    changes: Iterable[Change], partition_of: Callable[[bytes], int]
) -> Iterator[tuple[int, OutRecord]]:
    """Yield the flat visit of each row, and a tombstone for each deleted row, with its partition.

    The partition is that of the session, as for the stream workers.
    """
    for change in changes:
        partition = partition_of(":".join(map(str, change.key)).encode())
        for row in change.rows:
            visit = flat_visit_of(row)
            yield partition, OutRecord(visit.visit_id.encode(), encode(visit))
        for (visit_id,) in change.deleted:
            yield partition, OutRecord(str(visit_id).encode(), None)
