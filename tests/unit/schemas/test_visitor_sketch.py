"""Visitor sketches, compared with those of DataSketches (see tests/data/README.md)."""

import struct
from pathlib import Path

import pytest

from schemas.visitor_sketch import MAX_COUPONS, coupon_of, estimate, merge, pack

_STORED = Path(__file__).parents[2] / "data" / "visitor_sketches"
_NUMBERS = (5, 200, 3_000, 40_000, 2_000_000)


def stored(number: int) -> bytes:
    """Return the sketch of DataSketches of this number of visitors."""
    return (_STORED / f"{number}.bin").read_bytes()


def packed(begin: int, end: int) -> bytes:
    """Return a sketch of visitors with the same names."""
    return pack({coupon_of(f"visitor-{number}") for number in range(begin, end)})


@pytest.mark.parametrize("number", _NUMBERS)
def test_a_sketch_of_datasketches_is_decoded(number: int) -> None:
    """The estimate is exact while coupons are stored."""
    within = 0.5 if number <= MAX_COUPONS else 0.02 * number

    assert estimate([stored(number)]) == pytest.approx(number, abs=within)


@pytest.mark.parametrize("number", [5, 200, 3_000, 40_000])
def test_sketches_of_the_same_visitors_are_equal(number: int) -> None:
    """The union counts no visitor twice."""
    ours = packed(0, number)

    assert estimate([stored(number), ours]) == estimate([ours])
    assert len(ours) == len(stored(number))


@pytest.mark.parametrize("number", [3_000, 40_000])
def test_the_encoding_equals_that_of_datasketches(number: int) -> None:
    """Except the order of coupons and the HIP estimate, which merged sketches ignore."""
    ours, theirs = packed(0, number), stored(number)

    if number <= MAX_COUPONS:
        assert ours[:12] == theirs[:12]
        assert set(struct.iter_unpack("<I", ours[12:])) == set(
            struct.iter_unpack("<I", theirs[12:])
        )
    else:
        assert (ours[:4], ours[5:8]) == (theirs[:4], theirs[5:8])
        assert struct.unpack_from("<II", ours, 32) == struct.unpack_from("<II", theirs, 32)
        registers, exceptions = slice(40, 40 + (1 << 14)), slice(40 + (1 << 14), None)
        assert ours[registers] == theirs[registers]
        assert sorted(struct.iter_unpack("<I", ours[exceptions])) == sorted(
            struct.iter_unpack("<I", theirs[exceptions])
        )


def test_registers_over_four_bits_are_kept() -> None:
    """With two million visitors, no register is empty and some are 15 above the lowest."""
    full = stored(2_000_000)

    assert full[6] > 0
    assert struct.unpack_from("<I", full, 36)[0] > 0
    again = merge([full, packed(0, 10)])
    assert estimate([again]) == estimate([full])


@pytest.mark.parametrize("number", [MAX_COUPONS + 1, 10_000, 60_000])
def test_many_visitors_are_estimated_within_two_per_cent(number: int) -> None:
    """The standard error is 0.6 %, also right after the limit of coupons."""
    assert estimate([packed(0, number)]) == pytest.approx(number, rel=0.02)


def test_few_visitors_of_many_partitions_are_exact() -> None:
    """Each has coupons; the union exceeds the limit of coupons."""
    parts = [packed(begin, begin + 1_500) for begin in range(0, 20_000, 1_000)]

    assert estimate(parts) == pytest.approx(20_500, abs=5)


def test_an_empty_sketch_has_no_visitors() -> None:
    """Nor has an empty sketch of DataSketches."""
    assert pack([]) == merge([]) == merge([b"", b""]) == b""
    assert estimate([]) == estimate([b"", bytes.fromhex("0201070f030c0000")]) == 0


@pytest.mark.parametrize(
    "damaged",
    [
        b"\x02",
        b"headrace",
        stored(5)[:-1],
        stored(3_000)[:11],
        stored(3_000)[:-4],
        stored(40_000)[:39],
        stored(40_000)[:-1],
        stored(40_000)[:7] + b"\x06" + stored(40_000)[8:],  # HLL_6, which headrace never wrote
        stored(40_000)[:3] + b"\x0c" + stored(40_000)[4:],  # 4,096 registers
    ],
)
def test_a_malformed_sketch_is_rejected(damaged: bytes) -> None:
    """With a `ValueError`."""
    with pytest.raises(ValueError, match="visitor sketch"):
        estimate([packed(0, 10), damaged])
