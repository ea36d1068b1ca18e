"""From an event's bytes to Kafka's word: parse, encode, accumulate, wait.

Each event leaves by one of three doors: accepted, rejected with its reason, or failed, which
promises nothing.
"""

import asyncio
import logging
import traceback
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from producer_api.accumulator import Accumulator, Confirmation
from producer_api.body import MAX_EVENT_BYTES
from producer_api.draft import Surroundings
from producer_api.fast import read_fast
from producer_api.metrics import Metrics
from producer_api.parse import parse
from producer_api.ready import Ready
from producer_api.rejected import Rejected
from schemas.reject_reasons import RejectReason

_log = logging.getLogger(__name__)

#: Of a batch that are judged in one go, before other requests have their turn.
_IN_ONE_GO = 50
_NOT_ACCEPTED = Rejected(RejectReason.NOT_ACCEPTED)
#: Failures of ours and of Kafka's: the event itself may be sound.
_FAILURES = frozenset({RejectReason.NOT_ACCEPTED, RejectReason.INTERNAL_ERROR})


class Results(NamedTuple):
    """What became of a batch: the status and the body's members."""

    status: int
    body: dict[str, Any]


class Intake:
    """Takes events, one or many."""

    def __init__(self, around: Surroundings, accumulator: Accumulator, metrics: Metrics) -> None:
        self._around = around
        self._accumulator = accumulator
        self._metrics = metrics

    def at_once(self, raw: bytes) -> tuple[Ready, Confirmation] | None:
        """Send an event that leaves nothing to decide; None when `one` is to judge it."""
        ready = read_fast(raw, self._around)
        if ready is None or not self._accumulator.is_open:
            return None
        self._accumulator.check_room(len(ready.value))
        return ready, self._send(ready)

    async def one(self, raw: bytes) -> str:
        """Return the event's id once Kafka has it; else raise `Rejected`."""
        ready = parse(raw, self._around)
        self._check_room(len(ready.value))
        if not await self._send(ready):
            raise Rejected(RejectReason.NOT_ACCEPTED)
        self._metrics.tally.accept(ready.type)
        return ready.event_id

    async def many(self, raws: Sequence[bytes]) -> Results:
        """Judge each event alone, send the good ones, and tell each one's lot in order."""
        judged = []
        for index, raw in enumerate(raws, 1):
            judged.append(self._judge(raw))
            if index % _IN_ONE_GO == 0:
                await asyncio.sleep(0)
        good = [ready for ready in judged if isinstance(ready, Ready)]
        if good:
            self._check_room(sum(len(ready.value) for ready in good))
        # All are on their way before the first is waited for.
        sent = [self._send(lot) if isinstance(lot, Ready) else None for lot in judged]
        lots: list[Ready | Rejected] = [
            lot if confirmation is None or await confirmation else _NOT_ACCEPTED
            for lot, confirmation in zip(judged, sent, strict=True)
        ]
        return self._tell(lots)

    def _check_room(self, size: int) -> None:
        if not self._accumulator.is_open:
            raise Rejected(RejectReason.NOT_ACCEPTED)
        self._accumulator.check_room(size)

    def _send(self, ready: Ready) -> Confirmation:
        return self._accumulator.add(ready.key, ready.value, ready.headers)

    def _judge(self, raw: bytes) -> Ready | Rejected:
        if len(raw) > MAX_EVENT_BYTES:
            return Rejected(RejectReason.EVENT_TOO_LARGE, limit=MAX_EVENT_BYTES)
        try:
            return parse(raw, self._around)
        except Rejected as rejected:
            return rejected
        except Exception as error:  # noqa: BLE001 - a fault of ours must not harm its neighbours
            return internal_error(error)

    def _tell(self, lots: Sequence[Ready | Rejected]) -> Results:
        accepted = Counter(lot.type for lot in lots if isinstance(lot, Ready))
        for name, count in accepted.items():
            self._metrics.tally.accept(name, count)
        results = []
        for index, lot in enumerate(lots):
            if isinstance(lot, Ready):
                results.append({"index": index, "status": "accepted", "event_id": lot.event_id})
            else:
                self._metrics.count_rejected(lot)
                status = "failed" if lot.reason in _FAILURES else "rejected"
                results.append({"index": index, "status": status, **lot.fields()})
        counts = Counter(result["status"] for result in results)
        return Results(_status(counts), _summary(counts, results))


def internal_error(error: Exception) -> Rejected:
    """Log a fault of ours, without what the client sent, and return the refusal."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    _log.error(
        "An event could not be handled: %s at %s:%s. This is a fault of headrace; "
        "please report this line",
        type(error).__name__,
        place.filename,
        place.lineno,
    )
    return Rejected(RejectReason.INTERNAL_ERROR)


def _status(counts: Counter[Any]) -> int:
    if counts["accepted"]:
        return 202 if counts.total() == counts["accepted"] else 207
    return 500 if counts["failed"] else 400


def _summary(counts: Counter[Any], results: list[dict[str, Any]]) -> dict[str, Any]:
    summary = {"accepted": counts["accepted"], "rejected": counts["rejected"]}
    if counts["failed"]:
        summary["failed"] = counts["failed"]
    return {**summary, "results": results}
