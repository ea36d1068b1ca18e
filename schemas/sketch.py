"""Mergeable quantile sketches: DDSketch with 1 % relative accuracy, as few bytes.

The bins are those of `ddsketch`'s logarithmic mapping, the same as in its other languages.
The bytes are a MessagePack array, `[bin, count, bin, count, ...]` by bin, with the count of
zeros first under the bin `null`; a function of the values alone, whatever their order. Its
own protobuf form was 15 times larger for a page with few leaves, and 100 times slower.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

import msgspec
from ddsketch.mapping import LogarithmicMapping

RELATIVE_ACCURACY = 0.01

_MAPPING = LogarithmicMapping(RELATIVE_ACCURACY)
_Bin = int | None
_decoder = msgspec.msgpack.Decoder(list[_Bin])


def add(sketch: bytes, values: Iterable[float]) -> bytes:
    """Return the sketch (empty bytes: none yet) with the values in it; none is negative."""
    bins = Counter(dict(_read(sketch)))
    bins.update(_MAPPING.key(value) if value > 0 else None for value in values)
    return _write(bins)


def merge(sketches: Iterable[bytes]) -> bytes:
    """Return one sketch of all values of the sketches."""
    bins: Counter[_Bin] = Counter()
    for sketch in sketches:
        bins.update(dict(_read(sketch)))
    return _write(bins)


def quantile(sketch: bytes, q: float) -> float | None:
    """Return the value at quantile `q` (0 to 1), within 1 %; None when there are no values."""
    bins = list(_read(sketch))
    rank = q * (sum(count for _, count in bins) - 1)
    seen = 0
    for found, count in bins:
        seen += count
        if seen > rank:
            return 0.0 if found is None else float(_MAPPING.value(found))
    return None


def _read(sketch: bytes) -> Iterator[tuple[_Bin, int]]:
    if not sketch:
        return
    flat = iter(_decoder.decode(sketch))
    for found, count in zip(flat, flat, strict=True):
        yield found, count or 0


def _write(bins: Counter[_Bin]) -> bytes:
    ordered = sorted(bins.items(), key=lambda item: (item[0] is not None, item[0] or 0))
    return msgspec.msgpack.encode([part for item in ordered for part in item])
