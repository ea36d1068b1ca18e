"""Mergeable quantile sketches: DDSketch with 1 % relative accuracy, in a compact encoding.

Bins are those of DDSketch's logarithmic mapping: bin `i` has the values in
(_GAMMA ** (i - 1), _GAMMA ** i]. The encoding is a MessagePack array, `[bin, count, bin, ...]`, in
ascending order, with zeros first in the bin `null`. It does not depend on the order of values.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from fractions import Fraction
from itertools import chain
from math import ceil, log, log1p
from typing import cast

import msgspec

RELATIVE_ACCURACY = 0.01

_GAMMA_MINUS_1 = 2 * RELATIVE_ACCURACY / (1 - RELATIVE_ACCURACY)
_GAMMA = 1 + _GAMMA_MINUS_1
#: Bins per power of two. Keep the order of operations: stored sketches depend on its rounding.
_BINS_PER_OCTAVE = 1 / log1p(_GAMMA_MINUS_1) * log(2)
_Bin = int | None
_decoder = msgspec.msgpack.Decoder(list[_Bin])


def add(sketch: bytes, values: Iterable[float]) -> bytes:
    """Return the sketch with values added; b"" is an empty sketch. Values must not be negative."""
    # Lists, because a dictionary would be sorted again for a few values.
    zeros, bins, counts = _columns(sketch)
    for value in values:
        if value <= 0:
            zeros += 1
            continue
        bin_ = _bin(value)
        at = bisect_left(bins, bin_)
        if at < len(bins) and bins[at] == bin_:
            counts[at] += 1
        else:
            bins.insert(at, bin_)
            counts.insert(at, 1)
    flat: list[_Bin] = [None, zeros] if zeros else []
    flat += chain.from_iterable(zip(bins, counts, strict=True))
    return msgspec.msgpack.encode(flat)


def merge(sketches: Iterable[bytes]) -> bytes:
    """Return the union of sketches."""
    bins: Counter[_Bin] = Counter()
    for sketch in sketches:
        bins.update(dict(_read(sketch)))
    return _write(bins)


def quantile(sketch: bytes, q: float) -> float | None:
    """Return the value at quantile `q` (0 to 1) within 1 %; None if the sketch is empty.

    It uses the nearest rank: the smallest of `n` values that is at least as large as `q * n` of
    them. The result represents a bin, so it may be up to 1 % outside the range of the values.
    """
    bins = _read(sketch)
    # A fraction, because the float 0.9 is more than nine tenths, so the rank could be one too high.
    rank = max(1, ceil(Fraction(str(q)) * sum(count for _, count in bins)))
    cumulative = 0
    for bin_, count in bins:
        cumulative += count
        if cumulative >= rank:
            return 0.0 if bin_ is None else _value(bin_)
    return None


def quantile_within(sketch: bytes, q: float, minimum: int, maximum: int) -> int | None:
    """Return a quantile, rounded and limited to the range of the measured values."""
    value = quantile(sketch, q)
    return None if value is None else min(max(round(value), minimum), maximum)


def _bin(value: float) -> int:
    return ceil(log(value, 2) * _BINS_PER_OCTAVE)  # noqa: FURB163 - log2 rounds otherwise


def _value(bin_: int) -> float:
    """Return the representative value of a bin, within 1 % of each value in it."""
    # The harmonic mean of its bounds has the same relative distance to both.
    return float(2.0 ** (bin_ / _BINS_PER_OCTAVE)) * (2 / (1 + _GAMMA))


def _columns(sketch: bytes) -> tuple[int, list[int], list[int]]:
    """Return the number of zeros, the other bins in ascending order, and their counts."""
    flat = _decoder.decode(sketch) if sketch else []
    zeros = 0
    if flat[:1] == [None]:
        zeros = flat[1] or 0
        del flat[:2]
    return zeros, cast("list[int]", flat[::2]), cast("list[int]", flat[1::2])


def _read(sketch: bytes) -> list[tuple[_Bin, int]]:
    if not sketch:
        return []
    flat = _decoder.decode(sketch)
    return [(bin_, count or 0) for bin_, count in zip(flat[::2], flat[1::2], strict=True)]


def _write(bins: Mapping[_Bin, int]) -> bytes:
    flat: list[_Bin] = [None, bins[None]] if None in bins else []
    for bin_ in sorted(bin_ for bin_ in bins if bin_ is not None):
        flat += (bin_, bins[bin_])
    return msgspec.msgpack.encode(flat)
