"""HyperLogLog sketches of distinct visitors in the format of Apache DataSketches.

`LiveCounters.visitors` is such a sketch. The format is compatible with the DataSketches libraries
of other languages (serial version 1, little-endian, compact):

    byte 0  1  2  3     4  5      6                7            then
         2  1  7  lg k  -  flags  count            0 (list)     coupons, 4 bytes each
         3  1  7  lg k  -  flags  -                1 (set)      count (4 bytes), coupons
        10  1  7  lg k  -  flags  lowest register  2 (HLL_4)    see `_pack_registers`

A *coupon* represents a visitor: 26 bits of a hash, and above them a value from 1 to 63, the number
of leading zeros of another hash plus one. Few visitors are stored as a list or set of coupons,
whose count is exact except for rare collisions. More are stored as 32,768 registers, each with the
highest value of its coupons; the standard error is 0.6 %.
"""

import re
from collections.abc import Collection, Iterable
from functools import reduce
from math import log
from struct import Struct
from struct import error as struct_error

from mmh3 import mmh3_x64_128_uintdigest

#: More coupons are stored as registers (16 kB).
MAX_COUPONS = 3_072

_LG_REGISTERS = 15  # with 12, one estimate in five has an error over 2 %
_REGISTERS = 1 << _LG_REGISTERS
_SEED = 9_001
_DIGEST_BITS = 128
_ADDRESS_BITS = 26
_ADDRESS = (1 << _ADDRESS_BITS) - 1
_SLOT = _REGISTERS - 1
_MAX_VALUE = 63
#: One in this many pairs of visitors has the same coupon.
_PAIRS_PER_COLLISION = 3 << _ADDRESS_BITS

_LIST, _SET, _HLL_4 = 0, 1, 2
_PREAMBLE_INTS = {_LIST: 2, _SET: 3, _HLL_4: 10}
_MAX_LIST = 7
_HEAD = Struct("<8B")
_NUMBER = Struct("<I")
#: The HIP estimate, unused here; the sums of the registers' inverse powers of two for values up to
#: 31 and above; the number of registers with the lowest value, and of exceptions.
_SUMS = Struct("<dddII")
_COMPACT, _OUT_OF_ORDER = 8, 16
_LOW_NIBBLES = int.from_bytes(b"\x0f" * (_REGISTERS // 2), "little")
_EXCEPTION = 15
#: The highest bit of each register.
_HIGH_BITS = int.from_bytes(b"\x80" * _REGISTERS, "little")


def coupon_of(visitor: str) -> int:
    """Return the coupon of a visitor."""
    digest = mmh3_x64_128_uintdigest(visitor.encode(), _SEED)
    value = min(_DIGEST_BITS + 1 - digest.bit_length(), _MAX_VALUE)
    return value << _ADDRESS_BITS | digest & _ADDRESS


def pack(coupons: Collection[int]) -> bytes:
    """Return the sketch of distinct coupons; b"" if there are none."""
    count = len(coupons)
    if count > MAX_COUPONS:
        return _pack_registers(_update_registers(bytearray(_REGISTERS), coupons))
    if not count:
        return b""
    packed = Struct(f"<{count}I").pack(*coupons)
    if count <= _MAX_LIST:
        return _head(_LIST, 3, count) + packed
    # Readers build a hash table of 2 ** lg_size slots, at most three quarters full.
    lg_size = max(5, (count * 4 // 3).bit_length())
    return _head(_SET, lg_size, 0) + _NUMBER.pack(count) + packed


def merge(sketches: Iterable[bytes]) -> bytes:
    """Return the union of sketches. Raise ValueError if one is malformed."""
    nonempty = [sketch for sketch in sketches if sketch]
    if len(nonempty) == 1:
        return nonempty[0]
    coupons, registers = _union(nonempty)
    return pack(coupons) if registers is None else _pack_registers(registers)


def estimate(sketches: Iterable[bytes]) -> float:
    """Return the estimated number of distinct visitors in the union of sketches.

    Raises ValueError if a sketch is malformed. b"" is an empty sketch.
    """
    coupons, registers = _union(sketches)
    if registers is not None:
        return _estimate(registers)
    count = len(coupons)
    return count + count * count / 2 / _PAIRS_PER_COLLISION


def _union(sketches: Iterable[bytes]) -> tuple[set[int], bytearray | None]:
    """Return the union as coupons, or as registers if one of the sketches has registers."""
    coupons: set[int] = set()
    registers: list[bytearray] = []
    for sketch in filter(None, sketches):
        if (mode := _mode(sketch)) == _HLL_4:
            registers.append(_read_registers(sketch))
        else:
            coupons.update(_read_coupons(sketch, mode))
    if not registers:
        return coupons, None
    return set(), _update_registers(reduce(_maximum, registers), coupons)


def _head(mode: int, lg_size: int, detail: int) -> bytes:
    flags = _COMPACT | (_OUT_OF_ORDER if mode == _HLL_4 else 0)
    return _HEAD.pack(_PREAMBLE_INTS[mode], 1, 7, _LG_REGISTERS, lg_size, flags, detail, mode)


def _mode(sketch: bytes) -> int:
    ints, version, family, lg_registers, _, _, _, mode = _unpack(_HEAD, sketch, 0)
    expected = (_PREAMBLE_INTS.get(kind := mode & 3), 1, 7, _LG_REGISTERS)
    if (ints, version, family, lg_registers) != expected or (kind == _HLL_4 and mode != _HLL_4):
        raise ValueError(f"not a visitor sketch: it begins with {sketch[:8].hex()}")
    return kind


def _read_coupons(sketch: bytes, mode: int) -> tuple[int, ...]:
    if mode == _LIST:
        return _unpack(Struct(f"<{sketch[6]}I"), sketch, 8)
    (count,) = _unpack(_NUMBER, sketch, 8)
    return _unpack(Struct(f"<{min(count, len(sketch))}I"), sketch, 12)


def _update_registers(registers: bytearray, coupons: Iterable[int]) -> bytearray:
    for coupon in coupons:
        slot, value = coupon & _SLOT, coupon >> _ADDRESS_BITS
        if value > registers[slot]:  # noqa: PLR1730 - max() takes twice as long
            registers[slot] = value
    return registers


def _pack_registers(registers: bytearray) -> bytes:
    """Encode registers as HLL_4: 4 bits each, relative to the lowest, even ones in the low nibble.

    15 means 15 or more; these exceptions follow as coupons (slot and value).
    """
    counts = _counts(registers)
    lowest = next(value for value, count in enumerate(counts) if count)
    nibbles = registers.translate(bytes(min(max(n - lowest, 0), 15) for n in range(256)))
    even, odd = (int.from_bytes(nibbles[first::2], "little") for first in (0, 1))
    matches = re.finditer(bytes([_EXCEPTION]), nibbles)
    slots = [match.start() for match in matches]
    exceptions = [registers[slot] << _ADDRESS_BITS | slot for slot in slots]
    parts = [count * 2.0**-value for value, count in enumerate(counts)]
    return b"".join(
        (
            _head(_HLL_4, max(2, (len(exceptions) * 4 // 3).bit_length()), lowest),
            _SUMS.pack(0.0, sum(parts[:32]), sum(parts[32:]), counts[lowest], len(exceptions)),
            (even | odd << 4).to_bytes(_REGISTERS // 2, "little"),
            Struct(f"<{len(exceptions)}I").pack(*exceptions),
        )
    )


def _read_registers(sketch: bytes) -> bytearray:
    lowest = sketch[6]
    *_, exception_count = _unpack(_SUMS, sketch, 8)
    start = 8 + _SUMS.size
    end = start + _REGISTERS // 2
    exceptions = _unpack(Struct(f"<{min(exception_count, len(sketch))}I"), sketch, end)
    packed = int.from_bytes(sketch[start:end], "little")
    nibbles = bytearray(_REGISTERS)
    for first, half in enumerate((packed, packed >> 4)):
        nibbles[first::2] = (half & _LOW_NIBBLES).to_bytes(_REGISTERS // 2, "little")
    registers = nibbles.translate(bytes(min(n + lowest, _MAX_VALUE) for n in range(256)))
    for coupon in exceptions:
        registers[coupon & _SLOT] = coupon >> _ADDRESS_BITS
    return registers


def _unpack(struct: Struct, sketch: bytes, start: int) -> tuple[int, ...]:
    try:
        return struct.unpack_from(sketch, start)
    except struct_error:
        raise ValueError(f"a visitor sketch ends after {len(sketch)} bytes") from None


def _maximum(left: bytearray, right: bytearray) -> bytearray:
    """Return the maximum of each pair of registers, computed with integers of all registers."""
    a, b = int.from_bytes(left, "little"), int.from_bytes(right, "little")
    # Bytes are below 64, so the high bit remains after the subtraction exactly where a >= b.
    is_greater = ((a | _HIGH_BITS) - b) & _HIGH_BITS
    mask = is_greater - (is_greater >> 7)
    return bytearray((b ^ ((a ^ b) & mask)).to_bytes(_REGISTERS, "little"))


def _estimate(registers: bytearray) -> float:
    """Return Ertl's improved raw estimate (arXiv:1702.01284, algorithm 4).

    Its correction for saturated registers is omitted: no register reaches 63 in practice.
    """
    counts = _counts(registers)
    total = _REGISTERS * _sigma(counts[0] / _REGISTERS)
    total += sum(count * 2.0**-value for value, count in enumerate(counts) if value)
    return _REGISTERS * _REGISTERS / (2 * log(2) * total)


def _counts(registers: bytearray) -> list[int]:
    """Return the number of registers with each value, from 0 to the highest value."""
    counts: list[int] = []
    remaining = _REGISTERS
    while remaining:
        counts.append(registers.count(len(counts)))
        remaining -= counts[-1]
    return counts


def _sigma(empty: float) -> float:
    """Return x + sum(x ** (2 ** k) * 2 ** (k - 1)) for the fraction of empty registers, below 1."""
    total, weight, previous = empty, 1.0, -1.0
    while total != previous:
        empty, previous = empty * empty, total
        total += empty * weight
        weight *= 2
    return total
