"""Strict validation of Avro bytes, which `avro_fallback` needs because fastavro is lenient."""

from collections.abc import Callable
from typing import Any

#: Takes bytes and the index of a value; returns the index after it. Raises `ValueError` or
#: `IndexError` for malformed values. Does not check that strings are UTF-8.
Check = Callable[[bytes, int], int]

_MAX_SHIFT = 63


def check_of(schema: Any) -> Check:
    """Return the check of a schema."""
    return _CheckBuilder().build(schema)


class _CheckBuilder:
    """Builds checks, and resolves named schemas."""

    def __init__(self) -> None:
        self._named = dict(_SIMPLE)

    def build(self, schema: Any) -> Check:
        if isinstance(schema, list):  # a union of null and another type
            return _optional(self.build(schema[1]))
        if isinstance(schema, str):
            return self._named[schema]
        build = getattr(self, f"_{schema['type']}", None)
        check: Check = build(schema) if build else self._named[schema["type"]]
        return self._named.setdefault(schema["name"], check) if "name" in schema else check

    def _record(self, schema: Any) -> Check:
        return _sequence([self.build(field["type"]) for field in schema["fields"]])

    def _array(self, schema: Any) -> Check:
        return _blocks(self.build(schema["items"]))

    def _map(self, schema: Any) -> Check:
        return _blocks(_sequence([_length_prefixed, self.build(schema["values"])]))

    @staticmethod
    def _enum(schema: Any) -> Check:
        return _one_byte({2 * index for index in range(len(schema["symbols"]))})

    @staticmethod
    def _bytes(schema: Any) -> Check:
        return _decimal(schema["precision"]) if "precision" in schema else _length_prefixed


def _read_long(data: bytes, i: int) -> tuple[int, int]:
    number = shift = 0
    while data[i] & 0x80 and shift < _MAX_SHIFT:
        number |= (data[i] & 0x7F) << shift
        i, shift = i + 1, shift + 7
    number |= data[i] << shift
    if number >> 64:
        raise ValueError("a number of more than 64 bits")
    return number >> 1 ^ -(number & 1), i + 1


def _long(data: bytes, i: int) -> int:
    return _read_long(data, i)[1]


def _int(data: bytes, i: int) -> int:
    (number, end) = _read_long(data, i)
    if not -(2**31) <= number < 2**31:
        raise ValueError("a number of more than 32 bits")
    return end


def _fixed(count: int) -> Check:
    def check(data: bytes, i: int) -> int:
        if not 0 <= count <= len(data) - i:
            raise ValueError(f"{count} bytes at {i} of {len(data)}")
        return i + count

    return check


def _length_prefixed(data: bytes, i: int) -> int:
    (count, i) = _read_long(data, i)
    return _fixed(count)(data, i)


def _one_byte(allowed: set[int]) -> Check:
    def check(data: bytes, i: int) -> int:
        if data[i] not in allowed:
            raise ValueError(f"a symbol, branch or boolean of {data[i]}")
        return i + 1

    return check


def _optional(other: Check) -> Check:
    branch = _one_byte({0, 2})
    return lambda data, i: other(data, i + 1) if data[branch(data, i) - 1] else i + 1


def _decimal(precision: int) -> Check:
    def check(data: bytes, i: int) -> int:
        end = _length_prefixed(data, i)
        digits = data[_long(data, i) : end]
        number = 0 if len(digits) > precision else int.from_bytes(digits, "big", signed=True)
        if len(digits) > precision or abs(number) >= 10**precision:
            raise ValueError(f"a number of more than {precision} digits")
        return end

    return check


def _sequence(checks: list[Check]) -> Check:
    def check(data: bytes, i: int) -> int:
        for item_check in checks:
            i = item_check(data, i)
        return i

    return check


def _blocks(item: Check) -> Check:
    def check(data: bytes, i: int) -> int:
        while data[i]:
            (count, i) = _read_long(data, i)
            end = None
            if count < 0:
                (size, i) = _read_long(data, i)
                (count, end) = (-count, i + size)
            if not 0 < count <= len(data) - i:  # an item has at least one byte
                raise ValueError(f"a block of {count} items")
            for _ in range(count):
                i = item(data, i)
            if end not in {None, i}:
                raise ValueError(f"a block that ends at {i}, not at {end}")
        return i + 1

    return check


_SIMPLE: dict[str, Check] = {
    "string": _length_prefixed,
    "bytes": _length_prefixed,
    "long": _long,
    "int": _int,
    "double": _fixed(8),
    "boolean": _one_byte({0, 1}),
}
