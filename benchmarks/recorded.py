"""What real clients of other systems sent, and as many native events."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import NamedTuple

from benchmarks.events import bodies
from producer_api.events.decompression import decompress
from producer_api.events.dialects.model import Dialect
from producer_api.events.dialects.registry import DIALECTS
from producer_api.events.request import Request
from producer_api.http.body import MAX_BATCH_BYTES
from producer_api.http.paths import BATCH_PATH, DIALECT_ROUTES, EVENT_PATH, route_path
from tests.component.producer_api.dialects.recordings import (
    Recorded,
    as_bytes,
    label,
    recordings,
    requests,
)

_DISTINCT = 200
_VIEW = b'"pageview"'
#: Smaller requests are not measured as batches.
_BATCH = 10
_OF_THE_BODY = frozenset({"content-type", "content-encoding"})


class Sample(NamedTuple):
    """A recorded request with a number of events, and a native request with as many.

    Both have the same headers, but for those of the body.
    """

    title: str
    events: int
    recorded: bytes
    native: bytes


def single_events() -> list[Sample]:
    """Return the first request of each dialect's browser client that has one event."""
    return [
        next(_sample(dialect, sent) for sent in _sent(dialect) if _count(dialect, sent) == 1)
        for dialect in DIALECTS
    ]


def batches() -> list[Sample]:
    """Return the recorded request of each dialect that has the most events, if these are many."""
    largest = [
        _sample(dialect, max(_sent(dialect), key=partial(_count, dialect))) for dialect in DIALECTS
    ]
    return [sample for sample in largest if sample.events >= _BATCH]


def _sent(dialect: Dialect) -> Iterator[Recorded]:
    """Yield the recorded requests, first those of the current client for browsers."""
    files = [file for file in recordings() if file.parent.name == dialect.name]
    for file in sorted(files, key=lambda file: not label(file).startswith(f"{dialect.name}.s")):
        yield from requests(file)


def _count(dialect: Dialect, sent: Recorded) -> int:
    """Return how many events a request has."""
    (path, _, query) = sent.path.partition("?")
    headers = {name.lower().encode(): value.encode() for name, value in sent.headers.items()}
    body = sent.body
    if b"content-encoding" in headers:
        body = decompress(body, MAX_BATCH_BYTES)
    request = Request(sent.method, route_path(path), query, headers, body)
    for route in DIALECT_ROUTES.at(request.path):
        (of, endpoint) = route
        if of is dialect and sent.method in endpoint.methods and endpoint.matches(request):
            return len(endpoint.translate(request))
    return 0


def _sample(dialect: Dialect, sent: Recorded) -> Sample:
    events = _count(dialect, sent)
    return Sample(dialect.title, events, as_bytes(sent), _native(events, sent.headers))


def _native(events: int, headers: Mapping[str, str]) -> bytes:
    """Return a request with this number of our own events, or with one page view."""
    kept = {name: value for name, value in headers.items() if name.lower() not in _OF_THE_BODY}
    sample = bodies(_DISTINCT)
    if events == 1:
        body = next(body for body in sample if _VIEW in body)
        return as_bytes(Recorded(0, "POST", EVENT_PATH, kept, body))
    body = b"[%b]" % b",".join(sample[:events])
    return as_bytes(Recorded(0, "POST", BATCH_PATH, kept, body))
