"""Mergeable quantile sketches: DDSketch with 1 % relative accuracy, as few bytes.

The bins are those of DDSketch's logarithmic mapping, as the libraries of that name have them:
bin `i` holds the values in (_GAMMA ** (i - 1), _GAMMA ** i]. The bytes are a MessagePack array,
`[bin, count, bin, count, ...]` by bin, with the count of zeros first under the bin `null`; a
function of the values alone, whatever their order.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from fractions import Fraction
from math import ceil, log, log1p

import msgspec

RELATIVE_ACCURACY = 0.01

_GAMMA_MINUS_1 = 2 * RELATIVE_ACCURACY / (1 - RELATIVE_ACCURACY)
_GAMMA = 1 + _GAMMA_MINUS_1
#: Bins per power of two. Rows in SQL have bins made by these expressions: another order of the
#: operations moves values that lie at the edge of a bin.
_BINS_PER_OCTAVE = 1 / log1p(_GAMMA_MINUS_1) * log(2)
_Bin = int | None
_decoder = msgspec.msgpack.Decoder(list[_Bin])


def add(sketch: bytes, values: Iterable[float]) -> bytes:
    """Return the sketch (empty bytes: none yet) with the values in it; none is negative."""
    bins = Counter(dict(_read(sketch)))
    bins.update(_bin(value) if value > 0 else None for value in values)
    return _write(bins)


def merge(sketches: Iterable[bytes]) -> bytes:
    """Return one sketch of all values of the sketches."""
    bins: Counter[_Bin] = Counter()
    for sketch in sketches:
        bins.update(dict(_read(sketch)))
    return _write(bins)


def quantile(sketch: bytes, q: float) -> float | None:
    """Return the value at quantile `q` (0 to 1) within 1 %; None when there are no values.

    By nearest rank: the smallest of `n` values that at least `q * n` of them do not exceed. What
    is returned stands for a whole bin, so it may lie up to 1 % outside the values' own range.
    """
    bins = list(_read(sketch))
    # As a fraction: 0.9 in binary is more than nine tenths, and so would be one rank too high.
    rank = max(1, ceil(Fraction(str(q)) * sum(count for _, count in bins)))
    seen = 0
    for found, count in bins:
        seen += count
        if seen >= rank:
            return 0.0 if found is None else _value(found)
    return None


def quantile_within(sketch: bytes, q: float, least: int, most: int) -> int | None:
    """Return a quantile as a whole number between the smallest and the largest value measured."""
    found = quantile(sketch, q)
    return None if found is None else min(max(round(found), least), most)


def _bin(value: float) -> int:
    return ceil(log(value, 2) * _BINS_PER_OCTAVE)  # noqa: FURB163 - log2 rounds otherwise


def _value(found: int) -> float:
    """Return the value of a bin that is at most 1 % off from each value in it."""
    # The harmonic mean of its ends: as far from the one as from the other, relative to them.
    return float(2.0 ** (found / _BINS_PER_OCTAVE)) * (2 / (1 + _GAMMA))


def _read(sketch: bytes) -> Iterator[tuple[_Bin, int]]:
    if not sketch:
        return
    flat = iter(_decoder.decode(sketch))
    for found, count in zip(flat, flat, strict=True):
        yield found, count or 0


def _write(bins: Counter[_Bin]) -> bytes:
    ordered = sorted(bins.items(), key=lambda item: (item[0] is not None, item[0] or 0))
    return msgspec.msgpack.encode([part for item in ordered for part in item])
