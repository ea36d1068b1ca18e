"""Blocked visitors and users of a site: the topic `blocked-ids`, which contains hashes only."""

import time
from collections.abc import Mapping

from headrace.admin.topic_records import latest_records
from headrace.errors import UserError
from schemas.blocked_ids import hash_of, key_of
from schemas.kafka_settings import KafkaSettings
from schemas.records import BlockedId
from schemas.topics import BLOCKED_IDS
from sinks.delivery.publisher import Unavailable, open_publisher


async def list_blocked(kafka: KafkaSettings, site_id: str) -> list[BlockedId]:
    """Return the blocked ids of a site, oldest first. Raises `UserError` if Kafka fails."""
    blocked = await latest_records(kafka, BLOCKED_IDS, BlockedId)
    found = [one for one in blocked.values() if one.site_id == site_id]
    return sorted(found, key=lambda one: (one.created_at, one.hash))


async def block(kafka: KafkaSettings, site_id: str, ids: Mapping[str, str]) -> None:
    """Reject events with these ids, `visitor` or `user`, from now on, within 5 s; idempotent.

    Raises `UserError` if Kafka fails.
    """
    now = time.time_ns() // 1_000
    hashes = [hash_of(site_id, kind, value) for kind, value in ids.items()]
    records = [BlockedId(site_id=site_id, hash=one, created_at=now) for one in hashes]
    await _publish(kafka, {key_of(site_id, one.hash): one for one in records})


async def unblock(kafka: KafkaSettings, site_id: str, hashes: list[str]) -> None:
    """Accept events again whose ids have these hashes, within 5 s.

    Raises `UserError` if Kafka fails, or if one of them is not blocked; then nothing is changed.
    """
    blocked = {one.hash for one in await list_blocked(kafka, site_id)}
    if unknown := [one for one in hashes if one not in blocked]:
        raise UserError(
            f"Not blocked on {site_id}: the id with the hash {', '.join(unknown)}. "
            f"`headrace blocks list --site {site_id}` lists the hashes of blocked ids"
        )
    await _publish(kafka, dict.fromkeys(key_of(site_id, one) for one in hashes))


async def _publish(kafka: KafkaSettings, records: Mapping[str, BlockedId | None]) -> None:
    async with open_publisher(kafka, BLOCKED_IDS) as publish:
        for key, record in records.items():
            try:
                await publish(key, record)
            except Unavailable as error:
                raise UserError(str(error)) from error
