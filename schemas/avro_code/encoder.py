"""Functions that make bytes of records."""

from collections.abc import Callable
from typing import Any

from schemas.avro_code.writer import Schema, Writer, compiled

#: From a record to its bytes.
Encoder = Callable[[Any], bytes]


def encoder(schema: Schema) -> Encoder:
    """Return what makes bytes of a record; it raises some error when a field is of a wrong kind."""
    writer = _Encoder()
    pieces = writer.pieces(schema, "record")
    lines = ["def encode(record):", f"    return ''.join({pieces}).encode('latin-1')"]
    encode: Encoder = compiled("encode", [*writer.functions, *lines], writer)
    return encode


class _Encoder(Writer):
    """Writes expressions whose values are texts in Latin-1."""

    def __init__(self) -> None:
        super().__init__()
        #: Lines of the functions that make texts of an array's items, and of a map's.
        self.functions: list[str] = []
        self._large_text = "long_text"

    def pieces(self, schema: Schema, record: str) -> str:
        """Return the tuple of what the fields of a record become."""
        each = (self.of(field["type"], f"{record}.{field['name']}") for field in schema["fields"])
        return f"({', '.join(each)},)"

    def of(self, schema: Schema, value: str) -> str:
        """Return what `value`, an expression itself, becomes."""
        kind, schema = self.kind_of(schema)
        return str(getattr(self, f"_{kind}")(schema, value))

    def _union(self, other: Schema, value: str) -> str:
        x = self.new("x")
        return f"('\\0' if ({x} := {value}) is None else '\\2' + {self.of(other, x)})"

    def _record(self, schema: Schema, value: str) -> str:
        x, outer = self.new("x"), self._large_text
        self._large_text = "known_text"
        pieces = self.pieces(schema, x)
        self._large_text = outer
        return f"(({x} := {value}) and ''.join({pieces}))"

    def _string(self, _: Schema, value: str) -> str:
        x, n = self.new("x"), self.new("n")
        size = f"(NUMBERS[{n}] if ({n} := len({x})) < MANY else long_text({n}))"
        return f"({size} + {x} if ({x} := {value}).isascii() else wide_text({x}))"

    def _long(self, _: Schema, value: str) -> str:
        x = self.new("x")
        return f"(NUMBERS[{x}] if -1 < ({x} := {value}) < MANY else {self._large_text}({x}))"

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
