"""Functions that make bytes of records."""

from collections.abc import Callable, Collection, Sequence

from schemas.avro_code.writer import Schema, Writer, compiled

#: From a record, and fields that are given beside it, to its bytes.
Encoder = Callable[..., bytes]


def encoder(
    schema: Schema, begin: bytes, given: Sequence[str] = (), absent: Collection[str] = ()
) -> Encoder:
    """Return what makes bytes of a record, behind those of the beginning.

    It raises some error when a field is of a wrong kind. The fields that are `given` are
    arguments behind the record; those that are `absent`, null or empty, are not looked at.
    """
    if unknown := {*given, *absent} - {field["name"] for field in schema["fields"]}:
        raise ValueError(f"{schema['name']} has no field {', '.join(sorted(unknown))}")
    writer = _Encoder(given, absent)
    pieces = writer.pieces(schema, "record")
    head = f"def encode({', '.join(('record', *given))}):"
    made = f"''.join(({begin.decode('latin-1')!r}, {pieces}))"
    lines = [head, f"    return {made}.encode('latin-1')"]
    encode: Encoder = compiled("encode", [*writer.functions, *lines], writer)
    return encode


class _Encoder(Writer):
    """Writes expressions whose values are texts in Latin-1."""

    def __init__(self, given: Collection[str], absent: Collection[str]) -> None:
        super().__init__()
        self._given = given
        self._absent = absent
        #: Lines of the functions that make texts of an array's items, and of a map's.
        self.functions: list[str] = []
        self._large_text = "long_text"

    def pieces(self, schema: Schema, record: str) -> str:
        """Return what the fields of a record become, with commas between."""
        given, absent = (self._given, self._absent) if record == "record" else ((), ())
        each = []
        for field in schema["fields"]:
            name = field["name"]
            value = name if name in given else f"{record}.{name}"
            each.append("'\\0'" if name in absent else self.of(field["type"], value))
        return ", ".join(each)

    def of(self, schema: Schema, value: str) -> str:
        """Return what `value`, an expression itself, becomes."""
        kind, schema = self.kind_of(schema)
        return str(getattr(self, f"_{kind}")(schema, value))

    def _union(self, other: Schema, value: str) -> str:
        x = self.new("x")
        kind, other = self.kind_of(other)
        branch = "'\\2' + "
        told = branch + self.of(other, x)
        if kind == "string":
            told = self._text(x, x, "TOLD", branch)
        return f"('\\0' if ({x} := {value}) is None else {told})"

    def _record(self, schema: Schema, value: str) -> str:
        x, outer = self.new("x"), self._large_text
        self._large_text = "known_text"
        pieces = self.pieces(schema, x)
        self._large_text = outer
        return f"(({x} := {value}) and ''.join(({pieces},)))"

    def _string(self, _: Schema, value: str) -> str:
        x = self.new("x")
        return f"({self._text(x, f'({x} := {value})')})"

    def _text(self, x: str, value: str, sizes: str = "NUMBERS", branch: str = "") -> str:
        """Return what a text becomes, behind its union's branch; `value` is, or sets, `x`."""
        n = self.new("n")
        size = f"({sizes}[{n}] if ({n} := len({x})) < MANY else {branch}long_text({n}))"
        return f"{size} + {x} if {value}.isascii() else {branch}wide_text({x})"

    def _long(self, _: Schema, value: str) -> str:
        x, z = self.new("x"), self.new("z")
        large = f"{self._large_text}({x})"
        if self._large_text == "long_text":  # a time, as a rule: a call would take as long again
            bits = f"{{PAIRS[({z} := {x} << 1) & 0x3FFF]}}{{PAIRS[{z} >> 14 & 0x3FFF]}}"
            large = f"f'{bits}{{end_text({z} >> 28)}}' if MANY_BITS < {x} < LIMIT else {large}"
        return f"(NUMBERS[{x}] if -1 < ({x} := {value}) < MANY else {large})"

    def _int(self, _: Schema, value: str) -> str:
        return f"int_text({value})"

    def _double(self, _: Schema, value: str) -> str:
        return f"double_text({value})"

    def _boolean(self, _: Schema, value: str) -> str:
        return f"BOOLEAN_TEXTS[{value}]"

    def _bytes(self, _: Schema, value: str) -> str:
        return f"bytes_text({value})"

    def _decimal(self, schema: Schema, value: str) -> str:
        return f"decimal_text({value}, {schema['precision']}, {schema['scale']})"

    def _enum(self, schema: Schema, value: str) -> str:
        texts = self.new("TEXTS")
        self.names[texts] = {name: chr(2 * index) for index, name in enumerate(schema["symbols"])}
        return f"{texts}[{value}]"

    def _array(self, schema: Schema, value: str) -> str:
        item = self.new("x")
        return self._block(value, "{}", item, self.of(schema["items"], item))

    def _map(self, schema: Schema, value: str) -> str:
        key, item = self.new("x"), self.new("x")
        both = f"{self.of('string', key)} + {self.of(schema['values'], item)}"
        return self._block(value, "{}.items()", f"({key}, {item})", both)

    def _block(self, value: str, items: str, item: str, text: str) -> str:
        # A function, not a comprehension: there each variable would be a cell, made for each
        # record at twenty nanoseconds.
        x, n, function = self.new("x"), self.new("n"), self.new("text_of")
        self.functions += [f"def {function}(item):", f"    {item} = item", f"    return {text}"]
        block = f"long_text({n}) + ''.join(map({function}, {items.format(x)})) + '\\0'"
        return f"({block} if ({n} := len({x} := {value})) else '\\0')"
