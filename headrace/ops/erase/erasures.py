"""The topic `erasures`: which sessions and sites were erased, as hashes (ADR 76).

A database that is restored from a backup may contain them again.
"""

from collections import defaultdict
from collections.abc import Iterable

from schemas.blocked_ids import hash_of, key_of
from schemas.codec import encode
from schemas.records import BlockedId
from schemas.topics import ERASURES
from streams.app import partitioner
from streams.engine.producer import BatchProducer, OutRecord


def session_erasure(site_id: str, session_id: str, at: int) -> BlockedId:
    """Return the record of an erased session; events received later are not erased."""
    return BlockedId(site_id=site_id, hash=session_hash(site_id, session_id), created_at=at)


def site_erasure(site_id: str, at: int) -> BlockedId:
    """Return the record of an erased site; what was received later is not erased."""
    return BlockedId(site_id=site_id, hash=site_hash(site_id), created_at=at)


def session_hash(site_id: str, session_id: str) -> str:
    """Return the hash of a session of a site."""
    return hash_of(site_id, "session", session_id)


def site_hash(site_id: str) -> str:
    """Return the hash that represents a whole site."""
    return hash_of(site_id, "site", "")


async def publish_erasures(
    producer: BatchProducer, partitions: int, erasures: Iterable[BlockedId]
) -> None:
    """Write erasures to the topic; return when all in-sync replicas have them."""
    partition_of = partitioner(partitions)
    by_partition: defaultdict[int, list[OutRecord]] = defaultdict(list)
    for erasure in erasures:
        key = key_of(erasure.site_id, erasure.hash).encode()
        by_partition[partition_of(key)].append(OutRecord(key, encode(erasure)))
    for partition, records in by_partition.items():
        await producer.send(ERASURES.name, partition, records)
