"""Coverage-guided fuzzing of the compiled reader of events, under AddressSanitizer: `make fuzz`.

An input is the body of a request. The reader must return None or the same record as `parse`, and
the compiled hash of a key must equal aiokafka's.
"""

import sys
from pathlib import Path

import atheris
from aiokafka.partitioner import murmur2

from producer_api.events import event_compiled
from producer_api.events.client import NO_CLIENT
from producer_api.events.draft import EventContext
from producer_api.events.fast_parse import read_fast
from producer_api.events.import_sites import ImportSites
from producer_api.events.parse import parse

_NOW = 1_769_860_800_000_000  # 2026-01-31T12:00:00Z
_CONTEXT = EventContext(
    lambda: _NOW,
    lambda: "0197c2a4-7d1b-7c3e-9a55-2b8f6d0e4c11",
    ImportSites({"archive"}, lambda: _NOW),
)


def fuzz(data: bytes) -> None:
    """Parse an input on both paths; raise if they differ."""
    fast = read_fast(data, _CONTEXT, NO_CLIENT)
    if fast is not None and fast != (expected := parse(data, _CONTEXT)):
        raise AssertionError(f"the fast path returned {fast}, not {expected}")
    if event_compiled.murmur2(data) != murmur2(data):
        raise AssertionError("the hash differs from aiokafka's")


if __name__ == "__main__":
    (corpus, examples) = map(Path, sys.argv[1:3])
    corpus.mkdir(parents=True, exist_ok=True)
    for file in examples.rglob("*.json"):
        (corpus / "-".join(file.relative_to(examples).parts)).write_bytes(file.read_bytes())
    atheris.Setup([sys.argv[0], str(corpus), *sys.argv[3:]], fuzz)
    atheris.Fuzz()
