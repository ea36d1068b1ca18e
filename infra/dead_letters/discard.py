"""Discard dead letters: record durably who decided that they need no replay, and why (ADR 37)."""

import getpass
import socket
import time
from collections.abc import Sequence
from contextlib import aclosing
from typing import NamedTuple

from infra.dead_letters.letter import DeadLetter
from infra.dead_letters.replay import Choice, Report, sending, unsettled
from infra.errors import UsageError
from schemas.codec import encode
from schemas.kafka_settings import KafkaSettings
from schemas.records import Replay
from schemas.topics import REPLAYS

#: Of a reason, in characters.
MAX_REASON = 500


class Selected(NamedTuple):
    """A dead letter to discard, and the partition that its record belongs to."""

    partition: int
    letter: DeadLetter


async def select(kafka: KafkaSettings, choice: Choice, report: Report) -> list[Selected]:
    """Return the dead letters of `choice`; count in `report` those that were settled before.

    `UserError` when Kafka or an id of the choice is not there.
    """
    selected: list[Selected] = []
    async with aclosing(unsettled(kafka, choice, report)) as letters:
        async for record, letter in letters:
            selected.append(Selected(record.partition, letter))
            if len(selected) == choice.limit:
                break
    return selected


async def discard(kafka: KafkaSettings, selected: Sequence[Selected], reason: str) -> None:
    """Record that dead letters are discarded, each by a record of its own in `replays`.

    A dead letter counts once, however often this runs; after a kill, run it again. `UserError`
    when Kafka does not take a record.
    """
    by, now_ms = author(), time.time_ns() // 1_000_000
    async with sending(kafka, "did not take all discards. Run it again: each counts once") as send:
        for partition, letter in selected:
            record = Replay(
                stage=letter.stage,
                origin=str(letter.origin or letter.id),
                src_offset=-1,
                log_ms=now_ms,
                discard_reason=reason,
                discarded_by=by,
            )
            # Into the partition whose router would remember the replay of this dead letter.
            key = letter.name.encode()
            await send(REPLAYS.name, encode(record), key=key, partition=partition)


def checked_reason(text: str) -> str:
    """Return the reason without blanks around it; `UsageError` when it is empty or too long."""
    reason = text.strip()
    if not reason:
        raise UsageError("--reason is empty: say why these dead letters need no replay")
    if len(reason) > MAX_REASON:
        raise UsageError(f"--reason has {len(reason):,} characters: at most {MAX_REASON}")
    try:
        reason.encode()
    except UnicodeEncodeError:
        raise UsageError("--reason is not valid UTF-8") from None
    return reason


def author() -> str:
    """Return who runs this command, as user@host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # no such user, as in many containers
        user = "unknown"
    return f"{user}@{socket.gethostname()}".encode(errors="replace").decode()
