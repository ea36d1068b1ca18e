"""What generated Avro code calls for single values: those that are rare, large or long.

Encoders call the functions that end in `_text`: texts in Latin-1, a character for each byte.
Decoders call those that begin with `read_`: they return the value and the index behind it.
"""

from decimal import Decimal
from functools import lru_cache
from struct import Struct
from typing import NoReturn

_LONG_BITS, _INT_BITS = 64, 32
#: Seven and fourteen bits.
_SEVEN, _FOURTEEN = 0x7F, 0x3FFF
_LONGEST_VARINT = 10

#: The first four bytes of eight, and the others; the bits that say that bytes follow.
_HALVES = Struct("<II").unpack_from
_TWO_MORE, _THIRD_MORE, _FOURTH_MORE = 0x8080, 0x800000, 0x80000000
_TIME_BYTES = 8

_DOUBLE = Struct("<d")
#: Read a floating point number, as a tuple of one.
read_double = _DOUBLE.unpack_from


def _varint(number: int) -> str:
    text = ""
    while number > _SEVEN:
        text += chr(number & _SEVEN | 0x80)
        number >>= 7
    return text + chr(number)


#: Small numbers, most of them lengths of texts, by themselves.
MANY = 2_049
NUMBERS = tuple(_varint(2 * number) for number in range(MANY))
#: And behind the branch of a union that is not null.
TOLD = tuple("\2" + number for number in NUMBERS)
#: Fourteen bits of a larger number, of which more follow.
PAIRS = tuple(chr(bits & _SEVEN | 0x80) + chr(bits >> 7 | 0x80) for bits in range(1 << 14))
#: Numbers between these have more than 28 bits, doubled, and no more than 63.
MANY_BITS, LIMIT = 1 << 28, 1 << 62
#: What times end with, behind their first 28 bits, is the same for two minutes.
end_text = lru_cache(4_096)(_varint)
#: Numbers that took eight bytes, such as microseconds since 1970. They come again: often in the
#: state of a session, and in each agent that reads an event.
TIMES: dict[bytes, int] = {}
_MOST_TIMES = 16_384
BOOLEANS = (False, True)
BOOLEAN_TEXTS = {False: "\0", True: "\1"}


def long_text(number: int, bits: int = _LONG_BITS) -> str:
    """Return a number as zigzag varint; `ValueError` when it has more than these bits."""
    zigzag = number << 1 if number >= 0 else ~(number << 1)
    if zigzag >> bits:
        raise ValueError(f"{number} has more than {bits} bits")
    if zigzag >> 28:
        begin = PAIRS[zigzag & _FOURTEEN] + PAIRS[zigzag >> 14 & _FOURTEEN]
        return begin + end_text(zigzag >> 28)
    return _varint(zigzag)


#: The same, for numbers of nested records: times of visits are written with every change of them.
known_text = lru_cache(16_384, typed=True)(long_text)


def int_text(number: int) -> str:
    """Return a number of 32 bits."""
    return long_text(number, _INT_BITS)


def double_text(number: float) -> str:
    """Return a floating point number."""
    return _DOUBLE.pack(number).decode("latin-1")


def bytes_text(value: bytes) -> str:
    """Return bytes behind their length."""
    return long_text(len(value)) + value.decode("latin-1")


def wide_text(text: str) -> str:
    """Return a text that is not all ASCII behind its length in bytes."""
    return bytes_text(text.encode())


def decimal_text(amount: Decimal, precision: int, scale: int) -> str:
    """Return an exact number; `ValueError` when it has more digits than the schema."""
    (_, digits, exponent) = amount.as_tuple()
    more = int(exponent) + scale  # a ValueError for NaN, whose exponent is a letter
    if more < 0 or len(digits) + more > precision:
        raise ValueError(f"{amount} has more than {precision - scale} digits, or {scale} decimals")
    unscaled = int(amount.scaleb(scale))
    return bytes_text(
        unscaled.to_bytes(((abs(unscaled).bit_length() + 8) >> 3), "big", signed=True)
    )


def no_branch(index: int) -> NoReturn:
    """Refuse a union's index that is neither of null (0) nor of the other (2, for it is zigzag)."""
    raise ValueError(f"a union's branch of {index >> 1}")


def read_long(data: bytes, i: int) -> tuple[int, int]:
    """Read a number of 64 bits; one of eight bytes is in `TIMES` from then on."""
    if i + 8 > len(data):
        return _read_any_long(data, i)
    (begin, end) = _HALVES(data, i)
    if begin & _TWO_MORE != _TWO_MORE:
        return _read_any_long(data, i)
    number, size = begin & 0x7F | begin >> 1 & 0x3F80 | begin >> 2 & 0x1FC000, 3
    if begin & _THIRD_MORE:
        number, size = number | begin >> 3 & 0xFE00000, 4
        if begin & _FOURTH_MORE:
            (more, size) = _read_end(end)
            number |= more
    number = number >> 1 ^ -(number & 1)
    if size == _TIME_BYTES:
        _remember(data[i : i + size], number)
    return (number, i + size) if size else _read_any_long(data, i)


@lru_cache(4_096)
def _read_end(end: int) -> tuple[int, int]:
    """Read what follows 28 bits, and return it with the size of all; 0: more than eight bytes."""
    number = 0
    for index in range(4):
        number |= (end >> 8 * index & _SEVEN) << 7 * index + 28
        if not end >> 8 * index & 0x80:
            return number, index + 5
    return 0, 0


def _remember(time: bytes, number: int) -> None:
    if len(TIMES) >= _MOST_TIMES:
        TIMES.clear()
    TIMES[time] = number


def _read_any_long(data: bytes, i: int) -> tuple[int, int]:
    x = 0
    for index, byte in enumerate(data[i : i + _LONGEST_VARINT]):
        x |= (byte & _SEVEN) << 7 * index
        if byte <= _SEVEN:
            if x >> _LONG_BITS:
                break
            return x >> 1 ^ -(x & 1), i + index + 1
    raise ValueError("a number is cut off, or has more than 64 bits")


def read_size(data: bytes, i: int) -> tuple[int, int]:
    """Read how many bytes follow, and return it doubled, as short sizes stand in the data."""
    if not data[i] & 1 and (more := data[i + 1]) <= _SEVEN < data[i]:  # up to 8,191
        return data[i] & _SEVEN | more << 7, i + 2
    size, i = read_long(data, i)
    if size < 0:
        raise ValueError(f"a length of {size}")
    return 2 * size, i


def read_count(data: bytes, i: int) -> tuple[int, int]:
    """Read how many items a block has that is not empty; its size in bytes is passed over."""
    if not data[i] & 0x81:  # nearly always
        return data[i] >> 1, i + 1
    items, i = read_long(data, i)
    if items < 0:
        _, i = read_long(data, i)
    return abs(items), i


def read_decimal(data: bytes, i: int, precision: int, scale: int) -> tuple[Decimal, int]:
    """Read an exact number; `ValueError` when it has more digits than the schema."""
    (doubled, i) = read_size(data, i)
    end = i + (doubled >> 1)
    # So few that a long one costs nothing: three bits a digit are more than enough.
    unscaled = int.from_bytes(data[i : min(end, i + precision)], "big", signed=True)
    if end - i > precision or abs(unscaled) >= 10**precision:
        raise ValueError(f"a number of more than {precision} digits")
    return Decimal(unscaled).scaleb(-scale), end
