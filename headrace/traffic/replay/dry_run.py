"""`headrace replay --dry-run`: validate events as the server does, without a server."""

import time
from collections.abc import Sequence
from uuid import UUID

from headrace.traffic.replay.sender import OnResult, Result, Send
from producer_api.events.client import NO_CLIENT
from producer_api.events.draft import EventContext
from producer_api.events.import_sites import ImportSites
from producer_api.events.rejection import Rejected
from producer_api.http.intake import parse_event

_NO_ID = str(UUID(int=0))


def dry_run(*, clamps: bool) -> Send:
    """Return a replacement for `Sender.send`. Set `clamps` if no import windows would be open."""
    now = time.time_ns() // 1_000
    context = EventContext(lambda: now, lambda: _NO_ID, ImportSites((), lambda: now))

    async def send(events: Sequence[bytes], on_result: OnResult) -> None:
        for index, event in enumerate(events):
            try:
                encoded = parse_event(event, context, NO_CLIENT)
            except Rejected as rejected:
                on_result(index, Result("rejected", rejected.reason.code, rejected.sentence()))
            else:
                on_result(index, Result("accepted", clamped=(clamps and encoded.clamped) or ""))

    return send
