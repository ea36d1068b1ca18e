"""From an event's bytes to Kafka's confirmation: parse, encode, accumulate, wait.

Each event is accepted, rejected with its reason, or failed, which promises nothing.
"""

import asyncio
import logging
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from producer_api import answers
from producer_api.accumulator import Accumulator
from producer_api.answers import Answer
from producer_api.body import MAX_EVENT_BYTES
from producer_api.draft import Ready, Surroundings
from producer_api.fast import read_fast
from producer_api.metrics import Metrics
from producer_api.parse import parse
from producer_api.rejected import Rejected
from schemas.reject_reasons import NOT_IN_KAFKA, RejectReason

_log = logging.getLogger(__name__)

#: Of a batch that are judged in one go, before other requests have their turn.
_IN_ONE_GO = 50
#: Failures of ours and of Kafka's: the event itself may be sound.
_FAILURES = NOT_IN_KAFKA | {RejectReason.INTERNAL_ERROR}


class Sent(NamedTuple):
    """An event on its way to Kafka, of a request that began at `began` (`time.perf_counter`)."""

    ready: Ready
    confirmed: asyncio.Future[bool]
    began: float


class Results(NamedTuple):
    """The response to a batch: the status and the body's members."""

    status: int
    body: dict[str, Any]


class Intake:
    """Takes events, one or many, until the server drains; counts what is in flight."""

    def __init__(self, around: Surroundings, accumulator: Accumulator, metrics: Metrics) -> None:
        self._around = around
        self._accumulator = accumulator
        self._metrics = metrics
        self.is_draining = False
        self._in_flight = 0
        self._all_answered = asyncio.Event()

    def begin(self) -> None:
        """Count a request that is in flight until `end`."""
        self._in_flight += 1

    def end(self) -> None:
        """Count a request as answered."""
        self._in_flight -= 1
        if self.is_draining and not self._in_flight:
            self._all_answered.set()

    async def drain(self) -> None:
        """Reject later requests; return when all earlier ones are answered."""
        self.is_draining = True
        if self._in_flight:
            await self._all_answered.wait()

    def take(self, raw: bytes) -> Sent | Answer | None:
        """Send the event of a request without ASGI, or return the answer that rejects it.

        Call `answer` once Kafka has confirmed it, or has not. None while the server drains, for
        then the answer must end the connection.
        """
        if self.is_draining:
            return None
        began = time.perf_counter()
        try:
            sent = self.one(raw, began)
        except Exception as error:  # noqa: BLE001 - the edge: counted, logged and answered
            self._metrics.tally.answer(time.perf_counter() - began)
            return answers.refusal(self.refuse(error))
        self.begin()
        return sent

    def answer(self, sent: Sent) -> Answer:
        """Return the answer to a request of `take`; called once."""
        self._metrics.tally.answer(time.perf_counter() - sent.began)
        self.end()
        try:
            return self.accepted(sent)
        except Rejected as rejected:
            return answers.refusal(self.refuse(rejected))

    def one(self, raw: bytes, began: float, *, never_clamp: bool = False) -> Sent:
        """Send an event to Kafka; raises `Rejected` for one that is not taken."""
        ready = parse_of_batch(raw, self._around, never_clamp=never_clamp)
        self._check_room(len(ready.value))
        return Sent(ready, self._send(ready), began)

    def accepted(self, sent: Sent) -> Answer:
        """Return the answer to an event that Kafka has; raises `Rejected` for one it has not."""
        if not sent.confirmed.result():
            raise self._failed()
        self._metrics.tally.accept(sent.ready.type)
        return answers.accepted(sent.ready.event_id)

    def refuse(self, error: Exception) -> Rejected:
        """Count why a request is rejected, and log it when it is a fault of ours."""
        rejected = error if isinstance(error, Rejected) else _internal_error(error)
        self._metrics.count_rejected(rejected)
        return rejected

    async def many(self, raws: Sequence[bytes], *, never_clamp: bool = False) -> Results:
        """Judge each event alone, send the accepted ones, and return all results in order."""
        judged: list[Ready | Rejected] = []
        for index, raw in enumerate(raws, 1):
            judged.append(self._judge(raw, never_clamp=never_clamp))
            if index % _IN_ONE_GO == 0:
                await asyncio.sleep(0)
        good = [ready for ready in judged if isinstance(ready, Ready)]
        if good:
            self._check_room(sum(len(ready.value) for ready in good))
        sent = [self._send(one) if isinstance(one, Ready) else None for one in judged]
        if confirmations := {confirmed for confirmed in sent if confirmed is not None}:
            await asyncio.wait(confirmations)
        return self._results(
            [
                one if confirmed is None or confirmed.result() else self._failed()
                for one, confirmed in zip(judged, sent, strict=True)
            ]
        )

    def _failed(self) -> Rejected:
        return Rejected(self._accumulator.transport.failure)

    def _check_room(self, size: int) -> None:
        if not self._accumulator.is_open:
            raise self._failed()
        self._accumulator.check_room(size)

    def _send(self, ready: Ready) -> asyncio.Future[bool]:
        return self._accumulator.add(ready.key, ready.value, ready.headers)

    def _judge(self, raw: bytes, *, never_clamp: bool) -> Ready | Rejected:
        try:
            return parse_of_batch(raw, self._around, never_clamp=never_clamp)
        except Rejected as rejected:
            return rejected
        except Exception as error:  # noqa: BLE001 - a fault of ours must not harm its neighbours
            return _internal_error(error)

    def _results(self, outcomes: Sequence[Ready | Rejected]) -> Results:
        accepted = Counter(one.type for one in outcomes if isinstance(one, Ready))
        for name, count in accepted.items():
            self._metrics.tally.accept(name, count)
        results: list[dict[str, Any]] = []
        for index, one in enumerate(outcomes):
            if isinstance(one, Ready):
                results.append({"index": index, "status": "accepted", "event_id": one.event_id})
                if one.clamped:
                    results[-1]["clamped"] = one.clamped
            else:
                self._metrics.count_rejected(one)
                status = "failed" if one.reason in _FAILURES else "rejected"
                results.append({"index": index, "status": status, **one.fields()})
        counts = Counter(result["status"] for result in results)
        return Results(_status(counts), _summary(counts, results))


def parse_of_batch(raw: bytes, around: Surroundings, *, never_clamp: bool) -> Ready:
    """Read an event, of a batch or alone; `Rejected` also when it is too large."""
    if len(raw) > MAX_EVENT_BYTES:
        raise Rejected(RejectReason.EVENT_TOO_LARGE, limit=MAX_EVENT_BYTES)
    # The fast path ends here; `parse` judges the rest.
    ready = read_fast(raw, around) or parse(raw, around)
    if never_clamp and ready.clamped:
        raise Rejected(RejectReason.WOULD_BE_CLAMPED, "timestamp")
    return ready


def _internal_error(error: Exception) -> Rejected:
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
