"""Kafka clients of commands. Their errors are raised as `UserError`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from headrace.errors import KafkaProblemError, UserError
from kafka_clients.access import explain_connection_failure
from kafka_clients.clients import make_admin, make_consumer
from kafka_clients.problems import RegistryError, explain_error
from schemas.kafka_settings import KafkaSettings

_REQUEST_TIMEOUT_MS = 30_000
_RECORD_TIMEOUT_SECONDS = 30.0


@asynccontextmanager
async def open_admin(kafka: KafkaSettings) -> AsyncIterator[Any]:
    """Yield an admin client. Raises UserError if no broker responds, or authentication fails."""
    admin = make_admin(kafka, request_timeout_ms=_REQUEST_TIMEOUT_MS)
    try:
        try:
            await admin.start()
        except (KafkaError, OSError) as error:
            if problem := await explain_connection_failure(kafka):
                raise KafkaProblemError(problem) from error
            protocol = kafka.security_protocol
            by = "" if protocol == "PLAINTEXT" else f" by {protocol}"
            raise UserError(
                f"No Kafka broker responds at {kafka.bootstrap_servers}{by}. Start one with "
                "`headrace kafka`, or specify your cluster with --kafka or "
                "HEADRACE_KAFKA__BOOTSTRAP_SERVERS"
            ) from error
        yield admin
    finally:
        await admin.close()


@asynccontextmanager
async def open_clients(
    kafka: KafkaSettings, advice: str = "", **consumer_options: Any
) -> AsyncIterator[tuple[Any, Any]]:
    """Yield an admin client, and a consumer without a group.

    Raises UserError, with `advice` as the last sentence, if Kafka fails.
    """
    async with open_admin(kafka) as admin:
        consumer = make_consumer(kafka, **consumer_options)
        try:
            await consumer.start()
            yield admin, consumer
        except RegistryError as error:
            raise UserError(str(error)) from error
        except (KafkaError, OSError, TimeoutError) as error:
            if problem := explain_error(error, kafka.bootstrap_servers):
                raise KafkaProblemError(problem) from error
            reason = str(error) or "it does not respond"
            raise UserError(
                f"Kafka at {kafka.bootstrap_servers} failed: {reason}. {advice}".rstrip(". ")
            ) from error
        finally:
            await consumer.stop()


async def read_record(consumer: Any, tp: TopicPartition, offset: int) -> Any | None:
    """Return the first record at or after an offset; None if there is none."""
    begin = (await consumer.beginning_offsets([tp]))[tp]
    end = (await consumer.end_offsets([tp]))[tp]
    first = max(offset, begin)
    if first >= end:
        return None
    consumer.assign([tp])
    consumer.seek(tp, first)
    async with asyncio.timeout(_RECORD_TIMEOUT_SECONDS):
        return await consumer.getone(tp)
