"""Discard dead letters: record who decided that no replay is needed, and why (ADR 37)."""

import getpass
import socket
import time
from collections.abc import Sequence
from contextlib import aclosing
from typing import NamedTuple

from headrace.errors import UsageError
from headrace.ops.dead_letters.dead_letter import DeadLetter
from headrace.ops.dead_letters.replay import Report, Selection, open_sender, select_open
from schemas.codec import encode
from schemas.kafka_settings import KafkaSettings
from schemas.records import Replay
from schemas.topics import REPLAYS

#: The maximum length of a reason, in characters.
MAX_REASON = 500


class Selected(NamedTuple):
    """A dead letter to discard, and its partition."""

    partition: int
    letter: DeadLetter


async def select(kafka: KafkaSettings, selection: Selection, report: Report) -> list[Selected]:
    """Return the selected dead letters that are open; count the resolved ones in `report`.

    Raises `UserError` if Kafka fails or a selected id does not exist.
    """
    selected: list[Selected] = []
    async with aclosing(select_open(kafka, selection, report)) as letters:
        async for record, letter in letters:
            selected.append(Selected(record.partition, letter))
            if len(selected) == selection.limit:
                break
    return selected


async def discard(kafka: KafkaSettings, selected: Sequence[Selected], reason: str) -> None:
    """Write one record per dead letter to `replays`. Idempotent: run it again after a failure.

    Raises `UserError` if Kafka does not accept a record.
    """
    by, now_ms = author(), time.time_ns() // 1_000_000
    async with open_sender(
        kafka, "did not accept all discards. Run this again: it is idempotent"
    ) as send:
        for partition, letter in selected:
            record = Replay(
                stage=letter.stage,
                origin=str(letter.origin or letter.id),
                src_offset=-1,
                log_ms=now_ms,
                discard_reason=reason,
                discarded_by=by,
            )
            # The partition in which the router tracks replays of this dead letter.
            key = letter.key.encode()
            await send(REPLAYS.name, encode(record), key=key, partition=partition)


def checked_reason(text: str) -> str:
    """Return the stripped reason; raises `UsageError` if it is empty, too long or not UTF-8."""
    reason = text.strip()
    if not reason:
        raise UsageError("--reason is empty: state why no replay is needed")
    if len(reason) > MAX_REASON:
        raise UsageError(f"--reason has {len(reason):,} characters: at most {MAX_REASON}")
    try:
        reason.encode()
    except UnicodeEncodeError:
        raise UsageError("--reason is not valid UTF-8") from None
    return reason


def author() -> str:
    """Return the current user as user@host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # no name for the user id, as in many containers
        user = "unknown"
    return f"{user}@{socket.gethostname()}".encode(errors="replace").decode()
