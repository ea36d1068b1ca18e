"""Functions that read records of bytes."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from msgspec.structs import fields

from schemas.avro_code.writer import Schema, Writer, compiled, indented

#: From bytes and the index of a record's first one to the record and the index behind it.
Decoder = Callable[[bytes, int], tuple[Any, int]]


def decoder(
    schema: Schema, types: Mapping[str, type], wanted: Collection[str] | None = None
) -> Decoder:
    """Return what reads a record as one of `types`; it raises some error for other bytes.

    Of the fields that have a default only the `wanted` are read, None for all; the others are
    passed over, and keep their default. The index behind may be beyond the end: that, too,
    says that the bytes are no such record.
    """
    if unknown := set(wanted or ()) - {field["name"] for field in schema["fields"]}:
        raise ValueError(f"{schema['name']} has no field {', '.join(sorted(unknown))}")
    writer = _Decoder(schema, types, wanted)
    body = [*writer.of(schema, "record"), "return record, i"]
    decode: Decoder = compiled("decode", ["def decode(data, i):", *indented(body)], writer)
    return decode


class _Decoder(Writer):
    """Writes lines that read a value at `i` into a target, and move `i` behind it."""

    def __init__(
        self, outermost: Schema, types: Mapping[str, type], wanted: Collection[str] | None
    ) -> None:
        super().__init__()
        self._outermost = outermost
        self._types = types
        self._wanted = wanted

    def of(self, schema: Schema, target: str) -> Iterator[str]:
        """Yield what reads a value."""
        kind, schema = self.kind_of(schema)
        lines: Iterator[str] = getattr(self, f"_{kind}")(schema, target)
        return lines

    def _record(self, schema: Schema, target: str) -> Iterator[str]:
        """Make the record as soon as all is read that it must have, and set the rest of it.

        Most of the rest is null in most records, and costs no more than a look then.
        """
        made = self._types[schema["name"]]
        self.names[made.__name__] = made
        must = [info.required for info in fields(made)]
        begin = len(must) - must[::-1].index(True) if True in must else 0
        record, arguments = self.new("record"), []
        for field, is_required in zip(schema["fields"][:begin], must, strict=False):
            if is_required or self._wants(schema, field):
                arguments.append(f"{field['name']}={(x := self.new('x'))}")
                yield from self.of(field["type"], x)
            else:
                yield from self._pass(field["type"])
        yield f"{record} = {made.__name__}({', '.join(arguments)})"
        for field in schema["fields"][begin:]:
            if self._wants(schema, field):
                yield from self._set(field, f"{record}.{field['name']}")
            else:
                yield from self._pass(field["type"])
        yield f"{target} = {record}"

    def _wants(self, schema: Schema, field: Schema) -> bool:
        is_outermost = schema is self._outermost
        return not is_outermost or self._wanted is None or field["name"] in self._wanted

    def _set(self, field: Schema, target: str) -> Iterator[str]:
        kind, schema = self.kind_of(field["type"])
        return self._told(schema, target) if kind == "union" else self.of(schema, target)

    def _union(self, other: Schema, target: str) -> Iterator[str]:
        yield f"{target} = None"
        yield from self._told(other, target)

    def _told(self, other: Schema, target: str) -> Iterator[str]:
        """Read what may be null, into a target that is null already."""
        return self._unless_null(self.of(other, target))

    @staticmethod
    def _unless_null(lines: Iterable[str]) -> Iterator[str]:
        yield from ("b = data[i]", "i += 1", "if b:", "    if b != 2: no_branch(b)")
        yield from indented(lines)

    @staticmethod
    def _size() -> Iterator[str]:
        # Of one byte, and not negative: twice the size, even.
        yield from ("n = data[i]", "i += 1", "if n & 0x81: n, i = read_size(data, i - 1)")

    def _string(self, _: Schema, target: str) -> Iterator[str]:
        yield from self._size()
        yield f"{target} = data[i : (i := i + (n >> 1))].decode()"

    def _bytes(self, _: Schema, target: str) -> Iterator[str]:
        yield from self._size()
        yield f"{target} = data[i : (i := i + (n >> 1))]"

    def _decimal(self, schema: Schema, target: str) -> Iterator[str]:
        yield f"{target}, i = read_decimal(data, i, {schema['precision']}, {schema['scale']})"

    def _long(self, _: Schema, target: str) -> Iterator[str]:
        # Of one or two bytes, or a time.
        yield "if (b := data[i]) < 0x80:"
        yield f"    {target} = b >> 1 ^ -(b & 1)"
        yield "    i += 1"
        yield "elif (n := data[i + 1]) < 0x80:"
        yield f"    {target} = (n << 6 | b >> 1 & 0x3F) ^ -(b & 1)"
        yield "    i += 2"
        yield "elif n := TIMES.get(data[i : i + 8]):"
        yield f"    {target} = n"
        yield "    i += 8"
        yield f"else: {target}, i = read_long(data, i)"

    _int = _long

    def _double(self, _: Schema, target: str) -> Iterator[str]:
        yield from (f"({target},) = read_double(data, i)", "i += 8")

    def _boolean(self, _: Schema, target: str) -> Iterator[str]:
        yield from (f"{target} = BOOLEANS[data[i]]", "i += 1")

    def _enum(self, schema: Schema, target: str) -> Iterator[str]:
        names = self.new("NAMES")
        self.names[names] = {2 * index: name for index, name in enumerate(schema["symbols"])}
        yield from (f"{target} = {names}[data[i]]", "i += 1")

    def _array(self, schema: Schema, target: str) -> Iterator[str]:
        items, item = self.new("items"), self.new("x")
        yield f"{items} = []"
        yield from self._blocks([*self.of(schema["items"], item), f"{items}.append({item})"])
        yield f"{target} = {items}"

    def _map(self, schema: Schema, target: str) -> Iterator[str]:
        items, name, item = self.new("items"), self.new("x"), self.new("x")
        body = [*self.of("string", name), *self.of(schema["values"], item)]
        yield f"{items} = {{}}"
        yield from self._blocks([*body, f"{items}[{name}] = {item}"])
        yield f"{target} = {items}"

    @staticmethod
    def _blocks(body: Iterable[str]) -> Iterator[str]:
        yield from ("while data[i]:", "    n, i = read_count(data, i)", "    for _ in range(n):")
        yield from indented(indented(body))
        yield "i += 1"

    def _pass(self, schema: Schema) -> Iterator[str]:
        """Yield what moves `i` behind a value that is not wanted."""
        kind, schema = self.kind_of(schema)
        if kind == "union":
            yield from self._unless_null(self._pass(schema))
        elif kind == "record":
            for field in schema["fields"]:
                yield from self._pass(field["type"])
        elif kind == "array":
            yield from self._blocks(self._pass(schema["items"]))
        elif kind == "map":
            yield from self._blocks([*self._pass("string"), *self._pass(schema["values"])])
        elif kind in {"string", "bytes"}:
            yield from (*self._size(), "i += n >> 1")
        elif kind in {"long", "int"}:
            yield from ("while data[i] & 0x80: i += 1", "i += 1")
        elif kind == "double":
            # Looked at, for however many there are said to be, they end where the bytes end.
            yield from ("data[i]", "i += 8")
        else:
            yield from self.of(schema, "_")
