"""Count distinct visitors: HyperLogLog sketches in the serialized form of Apache DataSketches.

`LiveCounters.visitors` holds one. What is written here, the DataSketches libraries of other
languages read, and so the other way round (serial version 1, little-endian, compact):

    byte 0  1  2  3     4  5      6                7            then
         2  1  7  lg k  -  flags  their number     0 (list)     coupons, 4 bytes each
         3  1  7  lg k  -  flags  -                1 (set)      their number (4 bytes), coupons
        10  1  7  lg k  -  flags  lowest register  2 (HLL_4)    see `_pack_registers`

A *coupon* is all that is kept of a visitor: 26 bits of a hash, and above them a value from 1 to
63, one more than the leading zeros of another hash. Few visitors are a list or set of coupons and
counted exactly, but for the rare collision. Of more, each of 32,768 registers keeps the highest
value of its coupons, for a standard error of 0.6 %.
"""

import re
from collections.abc import Collection, Iterable
from functools import reduce
from math import log
from struct import Struct
from struct import error as struct_error

from mmh3 import mmh3_x64_128_uintdigest

#: More coupons are written as registers, which take 16 kB.
MAX_COUPONS = 3_072

_LG_REGISTERS = 15  # with 12, one estimate in five would be more than 2 % off
_REGISTERS = 1 << _LG_REGISTERS
_SEED = 9_001
_DIGEST_BITS = 128
_ADDRESS_BITS = 26
_ADDRESS = (1 << _ADDRESS_BITS) - 1
_SLOT = _REGISTERS - 1
_MAX_VALUE = 63
#: Two coupons are equal by chance once in so many pairs.
_PAIRS_PER_COLLISION = 3 << _ADDRESS_BITS

_LIST, _SET, _HLL_4 = 0, 1, 2
_PREAMBLE_INTS = {_LIST: 2, _SET: 3, _HLL_4: 10}
_MAX_LIST = 7
_HEAD = Struct("<8B")
_NUMBER = Struct("<I")
#: An estimate that depends on the order of visitors, and unused here; the sum of the registers'
#: inverse powers of two, for values up to 31 and above; how many registers are the lowest, and
#: exceptions.
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
    """Return the sketch of distinct coupons; empty bytes when there are none."""
    count = len(coupons)
    if count > MAX_COUPONS:
        return _pack_registers(_raise_registers(bytearray(_REGISTERS), coupons))
    if not count:
        return b""
    packed = Struct(f"<{count}I").pack(*coupons)
    if count <= _MAX_LIST:
        return _head(_LIST, 3, count) + packed
    # A reader makes a hash table of 2 ** lg_size places for them, at most three quarters full.
    lg_size = max(5, (count * 4 // 3).bit_length())
    return _head(_SET, lg_size, 0) + _NUMBER.pack(count) + packed


def merge(sketches: Iterable[bytes]) -> bytes:
    """Return the sketch of the visitors of all sketches. Raises ValueError as `estimate` does."""
    some = [sketch for sketch in sketches if sketch]
    if len(some) == 1:
        return some[0]
    coupons, registers = _union(some)
    return pack(coupons) if registers is None else _pack_registers(registers)


def estimate(sketches: Iterable[bytes]) -> float:
    """Return how many distinct visitors the sketches have together; empty bytes are none.

    Raises ValueError for bytes that are not such a sketch.
    """
    coupons, registers = _union(sketches)
    if registers is not None:
        return _estimate(registers)
    count = len(coupons)
    return count + count * count / 2 / _PAIRS_PER_COLLISION


def _union(sketches: Iterable[bytes]) -> tuple[set[int], bytearray | None]:
    """Return the coupons of all sketches; or, if one has registers, the registers of all."""
    coupons: set[int] = set()
    registers: list[bytearray] = []
    for sketch in filter(None, sketches):
        if (mode := _mode(sketch)) == _HLL_4:
            registers.append(_read_registers(sketch))
        else:
            coupons.update(_read_coupons(sketch, mode))
    if not registers:
        return coupons, None
    return set(), _raise_registers(reduce(_highest, registers), coupons)


def _head(mode: int, lg_size: int, detail: int) -> bytes:
    flags = _COMPACT | (_OUT_OF_ORDER if mode == _HLL_4 else 0)
    return _HEAD.pack(_PREAMBLE_INTS[mode], 1, 7, _LG_REGISTERS, lg_size, flags, detail, mode)


def _mode(sketch: bytes) -> int:
    ints, version, family, lg_registers, _, _, _, mode = _unpack(_HEAD, sketch, 0)
    expected = (_PREAMBLE_INTS.get(kind := mode & 3), 1, 7, _LG_REGISTERS)
    if (ints, version, family, lg_registers) != expected or (kind == _HLL_4 and mode != _HLL_4):
        raise ValueError(f"not a sketch of visitors: it begins with {sketch[:8].hex()}")
    return kind


def _read_coupons(sketch: bytes, mode: int) -> tuple[int, ...]:
    if mode == _LIST:
        return _unpack(Struct(f"<{sketch[6]}I"), sketch, 8)
    (count,) = _unpack(_NUMBER, sketch, 8)
    return _unpack(Struct(f"<{min(count, len(sketch))}I"), sketch, 12)


def _raise_registers(registers: bytearray, coupons: Iterable[int]) -> bytearray:
    for coupon in coupons:
        slot, value = coupon & _SLOT, coupon >> _ADDRESS_BITS
        if value > registers[slot]:  # noqa: PLR1730 - max() takes twice as long
            registers[slot] = value
    return registers


def _pack_registers(registers: bytearray) -> bytes:
    """Write registers in 4 bits each: what they have more than the lowest, the even ones below.

    15 stands for 15 or more; the values of those follow, with their slots, as coupons have them.
    """
    counts = _counts(registers)
    lowest = next(value for value, count in enumerate(counts) if count)
    nibbles = registers.translate(bytes(min(max(n - lowest, 0), 15) for n in range(256)))
    even, odd = (int.from_bytes(nibbles[first::2], "little") for first in (0, 1))
    found = re.finditer(bytes([_EXCEPTION]), nibbles)
    exceptions = [registers[at.start()] << _ADDRESS_BITS | at.start() for at in found]
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
    *_, exceptions = _unpack(_SUMS, sketch, 8)
    start = 8 + _SUMS.size
    end = start + _REGISTERS // 2
    followers = _unpack(Struct(f"<{min(exceptions, len(sketch))}I"), sketch, end)
    packed = int.from_bytes(sketch[start:end], "little")
    nibbles = bytearray(_REGISTERS)
    for first, half in enumerate((packed, packed >> 4)):
        nibbles[first::2] = (half & _LOW_NIBBLES).to_bytes(_REGISTERS // 2, "little")
    registers = nibbles.translate(bytes(min(n + lowest, _MAX_VALUE) for n in range(256)))
    for coupon in followers:
        registers[coupon & _SLOT] = coupon >> _ADDRESS_BITS
    return registers


def _unpack(form: Struct, sketch: bytes, start: int) -> tuple[int, ...]:
    try:
        return form.unpack_from(sketch, start)
    except struct_error:
        raise ValueError(f"a sketch of visitors ends after {len(sketch)} bytes") from None


def _highest(one: bytearray, other: bytearray) -> bytearray:
    """Return the higher of each two registers, all at a time."""
    a, b = int.from_bytes(one, "little"), int.from_bytes(other, "little")
    # A byte is below 64, so its high bit survives the subtraction exactly where `a` is not less.
    kept = ((a | _HIGH_BITS) - b) & _HIGH_BITS
    mask = kept - (kept >> 7)
    return bytearray((b ^ ((a ^ b) & mask)).to_bytes(_REGISTERS, "little"))


def _estimate(registers: bytearray) -> float:
    """Return Ertl's improved raw estimate (arXiv:1702.01284, algorithm 4) of filled registers.

    Values are below 64, which no register reaches in practice, so their limit is left out.
    """
    counts = _counts(registers)
    total = _REGISTERS * _sigma(counts[0] / _REGISTERS)
    total += sum(count * 2.0**-value for value, count in enumerate(counts) if value)
    return _REGISTERS * _REGISTERS / (2 * log(2) * total)


def _counts(registers: bytearray) -> list[int]:
    """Return how many registers have each value from 0 to the highest that there is."""
    counts: list[int] = []
    left = _REGISTERS
    while left:
        counts.append(registers.count(len(counts)))
        left -= counts[-1]
    return counts


def _sigma(empty: float) -> float:
    """Return x + sum(x ** (2 ** k) * 2 ** (k - 1)), what empty registers add; below 1."""
    total, weight, before = empty, 1.0, -1.0
    while total != before:
        empty, before = empty * empty, total
        total += empty * weight
        weight *= 2
    return total
