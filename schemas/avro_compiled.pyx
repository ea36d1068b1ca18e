# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, auto_pickle=False
"""Avro in C: a schema is compiled to a tree of nodes, which encode and decode its values.

It is compiled when its record is first used: a `Record` has a node for each field, an `Array` one
for its items, and so on. `avro_fallback` has the same functions without a C compiler.

Decoding never trusts a length or a count: every access is bounds-checked, and a block cannot have
more items than bytes remain, because an item has at least one byte. The recursion depth is that of
the schema; recursive schemas are rejected.
"""

from cpython.bool cimport PyBool_Check
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_Check, PyBytes_FromStringAndSize
from cpython.bytes cimport PyBytes_GET_SIZE
from cpython.float cimport PyFloat_AsDouble, PyFloat_Check
from cpython.long cimport PyLong_AsLongLong, PyLong_Check
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from cpython.tuple cimport PyTuple_New, PyTuple_SET_ITEM
from cpython.unicode cimport PyUnicode_Check, PyUnicode_DecodeUTF8
from libc.stdint cimport INT32_MAX, INT32_MIN, INT64_MIN, int64_t, uint8_t, uint64_t
from libc.string cimport memcpy

from decimal import Decimal
from sys import intern

from msgspec.structs import fields as fields_of

cdef extern from "Python.h":
    object PyObject_Vectorcall(object, PyObject**, size_t, object)
    const char* PyUnicode_AsUTF8AndSize(object, Py_ssize_t*) except NULL

cdef extern from *:
    """
    /* Avro doubles are little-endian on every platform. */
    static void double_to_bytes(double value, uint8_t* bytes) {
        uint64_t bits; int i;
        memcpy(&bits, &value, 8);
        for (i = 0; i < 8; i++) bytes[i] = (uint8_t)(bits >> 8 * i);
    }
    static double double_of_bytes(const uint8_t* bytes) {
        double value; uint64_t bits = 0; int i;
        for (i = 0; i < 8; i++) bits |= (uint64_t)bytes[i] << 8 * i;
        memcpy(&value, &bits, 8);
        return value;
    }
    """
    void double_to_bytes(double value, uint8_t* bytes) noexcept nogil
    double double_of_bytes(const uint8_t* bytes) noexcept nogil

cdef enum:
    MAX_FIELDS = 64
    MAX_VARINT_BYTES = 10
    #: Size of the buffer on the stack. Larger records are encoded on the heap.
    STACK_BYTES = 2048
    #: Sources of a field's value; others are the index of an argument.
    ATTRIBUTE = -1
    NULL_OR_EMPTY = -2


cdef struct Out:
    #: An output buffer; `heap` is NULL while it is on the stack.
    uint8_t* data
    uint8_t* heap
    Py_ssize_t size
    Py_ssize_t capacity


cdef struct In:
    #: Input bytes; `at` is the current position.
    const uint8_t* begin
    const uint8_t* at
    const uint8_t* end


cdef int grow(Out* out, Py_ssize_t more) except -1:
    cdef Py_ssize_t capacity = 2 * (out.size + more)
    cdef uint8_t* heap = <uint8_t*>PyMem_Realloc(out.heap, capacity)
    if heap is NULL:
        raise MemoryError
    if out.heap is NULL:
        memcpy(heap, out.data, out.size)
    out.data = out.heap = heap
    out.capacity = capacity
    return 0


cdef inline int reserve(Out* out, Py_ssize_t more) except -1:
    if more > out.capacity - out.size:
        return grow(out, more)
    return 0


cdef inline int write_bytes(Out* out, const void* data, Py_ssize_t size) except -1:
    """Write the length of bytes, and the bytes."""
    reserve(out, size + MAX_VARINT_BYTES)
    write_varint(out, <uint64_t>size << 1)
    memcpy(out.data + out.size, data, size)
    out.size += size
    return 0


cdef inline void write_varint(Out* out, uint64_t number) noexcept:
    """Write a varint; the caller has reserved `MAX_VARINT_BYTES` bytes."""
    while number > 0x7F:
        out.data[out.size] = <uint8_t>(number & 0x7F | 0x80)
        out.size += 1
        number >>= 7
    out.data[out.size] = <uint8_t>number
    out.size += 1


cdef inline int write_byte(Out* out, uint8_t byte) except -1:
    reserve(out, 1)
    out.data[out.size] = byte
    out.size += 1
    return 0


cdef int write_long(Out* out, object value) except -1:
    cdef int64_t number
    if not PyLong_Check(value) or PyBool_Check(value):
        raise TypeError(f"{type(value).__name__} is not an integer")
    try:
        number = PyLong_AsLongLong(value)
    except OverflowError:
        raise ValueError("more than 64 bits") from None
    reserve(out, MAX_VARINT_BYTES)
    write_varint(out, (<uint64_t>number << 1) ^ <uint64_t>(number >> 63))
    return 0


cdef int fail(In* data, str problem) except -1:
    raise ValueError(f"{problem} at byte {data.at - data.begin}")


cdef inline int read_byte(In* data) except -1:
    cdef uint8_t byte
    if data.at >= data.end:
        fail(data, "the end")
    byte = data.at[0]
    data.at += 1
    return byte


cdef inline int64_t read_long(In* data) except? -7:
    """Read a zigzag varint of at most ten bytes and 64 bits."""
    cdef uint64_t number = 0
    cdef int shift = 0
    cdef uint8_t byte
    while True:
        if data.at >= data.end:
            fail(data, "the end")
        byte = data.at[0]
        if shift == 63 and byte > 1:
            fail(data, "a number of more than 64 bits")
        data.at += 1
        number |= <uint64_t>(byte & 0x7F) << shift
        if byte < 0x80:
            return <int64_t>(number >> 1) ^ -<int64_t>(number & 1)
        shift += 7


cdef inline Py_ssize_t read_length(In* data) except -1:
    """Read a length; raise `ValueError` if fewer bytes remain."""
    cdef int64_t length = read_long(data)
    if length < 0 or length > data.end - data.at:
        fail(data, f"a length of {length}")
    return <Py_ssize_t>length


cdef inline Py_ssize_t read_count(In* data, const uint8_t** end) except -1:
    """Read the item count of the next block, 0 at the end, and its `end` if it has a size."""
    cdef int64_t count, size
    end[0] = NULL
    if data.at < data.end and data.at[0] == 0:
        data.at += 1
        return 0
    count = read_long(data)
    if count < 0 and count != INT64_MIN:
        count = -count
        size = read_long(data)
        if size < 0 or size > data.end - data.at:
            fail(data, f"a block of {size} bytes")
        end[0] = data.at + size
    if count <= 0 or count > data.end - data.at:
        fail(data, f"a block of {count} items")
    return <Py_ssize_t>count


cdef inline int end_block(In* data, const uint8_t* end) except -1:
    """Check that the items of a block end at its `end`."""
    if end != NULL and data.at != end:
        fail(data, "a block of another size")
    return 0


cdef class Node:
    """Writes, reads and skips the values of a schema."""

    cdef int write(self, Out* out, object value) except -1:
        raise NotImplementedError

    cdef object read(self, In* data):
        raise NotImplementedError

    cdef int skip(self, In* data) except -1:
        self.read(data)
        return 0


cdef class String(Node):
    cdef int write(self, Out* out, object value) except -1:
        cdef Py_ssize_t size
        cdef const char* text
        if not PyUnicode_Check(value):
            raise TypeError(f"{type(value).__name__} is not text")
        text = PyUnicode_AsUTF8AndSize(value, &size)
        return write_bytes(out, text, size)

    cdef object read(self, In* data):
        cdef Py_ssize_t size = read_length(data)
        data.at += size
        return PyUnicode_DecodeUTF8(<const char*>data.at - size, size, NULL)

    cdef int skip(self, In* data) except -1:
        cdef Py_ssize_t size = read_length(data)
        data.at += size
        return 0


cdef class Bytes(String):
    cdef int write(self, Out* out, object value) except -1:
        if not PyBytes_Check(value):
            raise TypeError(f"{type(value).__name__} is not bytes")
        return write_bytes(out, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value))

    cdef object read(self, In* data):
        cdef Py_ssize_t size = read_length(data)
        data.at += size
        return PyBytes_FromStringAndSize(<const char*>data.at - size, size)


cdef class Exact(Bytes):
    """A decimal: the bytes of the unscaled integer."""

    cdef int precision
    cdef int scale
    cdef object limit

    def __init__(self, precision, scale):
        self.precision, self.scale, self.limit = precision, scale, 10**precision

    cdef int write(self, Out* out, object value) except -1:
        return Bytes.write(self, out, unscaled_bytes(value, self.precision, self.scale))

    cdef object read(self, In* data):
        cdef Py_ssize_t size = read_length(data)
        if size > self.precision:  # a byte per digit is more than enough
            fail(data, f"a number of more than {self.precision} digits")
        data.at += size
        digits = PyBytes_FromStringAndSize(<const char*>data.at - size, size)
        number = int.from_bytes(digits, "big", signed=True)
        if abs(number) >= self.limit:
            fail(data, f"a number of more than {self.precision} digits")
        return Decimal(number).scaleb(-self.scale)

    cdef int skip(self, In* data) except -1:
        self.read(data)
        return 0


def unscaled_bytes(value, precision, scale):
    """Return the bytes of a decimal. Raise `ValueError` if it has too many digits."""
    if not isinstance(value, Decimal):
        raise TypeError(f"{type(value).__name__} is not a Decimal")
    _, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise ValueError(f"{value} is not finite")
    if exponent + scale < 0 or len(digits) + exponent + scale > precision:
        raise ValueError(f"more than {precision - scale} digits, or {scale} decimals")
    number = int(value.scaleb(scale))
    return number.to_bytes((abs(number).bit_length() + 8) >> 3, "big", signed=True)


cdef class Long(Node):
    cdef int write(self, Out* out, object value) except -1:
        return write_long(out, value)

    cdef object read(self, In* data):
        return read_long(data)

    cdef int skip(self, In* data) except -1:
        read_long(data)
        return 0


cdef class Int(Long):
    cdef int write(self, Out* out, object value) except -1:
        write_long(out, value)
        if not INT32_MIN <= value <= INT32_MAX:
            raise ValueError("more than 32 bits")
        return 0

    cdef object read(self, In* data):
        cdef int64_t number = read_long(data)
        if not INT32_MIN <= number <= INT32_MAX:
            fail(data, "a number of more than 32 bits")
        return number

    cdef int skip(self, In* data) except -1:
        self.read(data)
        return 0


cdef class Double(Node):
    cdef int write(self, Out* out, object value) except -1:
        if not PyFloat_Check(value) and (not PyLong_Check(value) or PyBool_Check(value)):
            raise TypeError(f"{type(value).__name__} is not a number")
        reserve(out, 8)
        double_to_bytes(PyFloat_AsDouble(value), out.data + out.size)
        out.size += 8
        return 0

    cdef object read(self, In* data):
        self.skip(data)
        return double_of_bytes(data.at - 8)

    cdef int skip(self, In* data) except -1:
        if data.end - data.at < 8:
            fail(data, "the end")
        data.at += 8
        return 0


cdef class Boolean(Node):
    cdef int write(self, Out* out, object value) except -1:
        if not PyBool_Check(value):
            raise TypeError(f"{type(value).__name__} is not a bool")
        return write_byte(out, value is True)

    cdef object read(self, In* data):
        cdef int byte = read_byte(data)
        if byte > 1:
            fail(data, f"a bool of {byte}")
        return byte == 1


cdef class Enum(Node):
    cdef tuple symbols
    cdef dict indices

    def __init__(self, symbols):
        if len(symbols) > 64:
            raise ValueError("an enum has more than 64 symbols, which need more than a byte")
        self.symbols = tuple(symbols)
        self.indices = {symbol: index for index, symbol in enumerate(symbols)}

    cdef int write(self, Out* out, object value) except -1:
        index = self.indices.get(value) if PyUnicode_Check(value) else None
        if index is None:
            raise ValueError(f"{value!r} is not one of {self.symbols}")
        return write_byte(out, 2 * <int>index)

    cdef object read(self, In* data):
        cdef int byte = read_byte(data)
        if byte & 1 or byte >> 1 >= len(self.symbols):
            fail(data, f"a symbol of {byte}")
        return self.symbols[byte >> 1]


cdef class Optional(Node):
    """A union of null and one other type."""

    cdef Node other

    def __init__(self, Node other):
        self.other = other

    cdef int write(self, Out* out, object value) except -1:
        if value is None:
            return write_byte(out, 0)
        write_byte(out, 2)
        return self.other.write(out, value)

    cdef object read(self, In* data):
        return self.other.read(data) if is_present(data) else None

    cdef int skip(self, In* data) except -1:
        return self.other.skip(data) if is_present(data) else 0


cdef inline int is_present(In* data) except -1:
    cdef int byte = read_byte(data)
    if byte & ~2:
        fail(data, f"a branch of {byte}")
    return byte


cdef class Array(Node):
    cdef Node items

    def __init__(self, Node items):
        self.items = items

    cdef int write(self, Out* out, object value) except -1:
        cdef Py_ssize_t count = 0
        if not isinstance(value, (list, tuple)):
            raise TypeError(f"{type(value).__name__} is not a list")
        if value:
            write_long(out, len(value))
            for item in value:
                self.items.write(out, item)
        return write_byte(out, 0)

    cdef object read(self, In* data):
        cdef const uint8_t* end
        cdef Py_ssize_t count, i
        cdef list items = []
        while count := read_count(data, &end):
            for i in range(count):
                items.append(self.items.read(data))
            end_block(data, end)
        return items

    cdef int skip(self, In* data) except -1:
        cdef const uint8_t* end
        cdef Py_ssize_t count, i
        while count := read_count(data, &end):
            for i in range(count):
                self.items.skip(data)
            end_block(data, end)
        return 0


cdef class Map(Node):
    cdef Node keys
    cdef Node values

    def __init__(self, Node values):
        self.keys, self.values = String(), values

    cdef int write(self, Out* out, object value) except -1:
        if not isinstance(value, dict):
            raise TypeError(f"{type(value).__name__} is not a dict")
        if value:
            write_long(out, len(value))
            for key, item in (<dict>value).items():
                self.keys.write(out, key)
                self.values.write(out, item)
        return write_byte(out, 0)

    cdef object read(self, In* data):
        cdef const uint8_t* end
        cdef Py_ssize_t count, i
        cdef dict entries = {}
        while count := read_count(data, &end):
            for i in range(count):
                key = self.keys.read(data)
                entries[key] = self.values.read(data)
            end_block(data, end)
        return entries

    cdef int skip(self, In* data) except -1:
        cdef const uint8_t* end
        cdef Py_ssize_t count, i
        while count := read_count(data, &end):
            for i in range(count):
                self.keys.skip(data)
                self.values.skip(data)
            end_block(data, end)
        return 0


cdef class Record(Node):
    """A record: written from attributes of an object and from arguments, read as a struct."""

    cdef str name
    cdef tuple names
    cdef tuple nodes
    cdef Py_ssize_t count
    cdef int sources[MAX_FIELDS]
    #: The struct. Fields that are not projected are skipped and have their default; so have fields
    #: that are null and whose default is None.
    cdef object type
    cdef bint is_projected[MAX_FIELDS]
    cdef bint is_default_null[MAX_FIELDS]

    def __init__(self, str name, names, nodes, type):
        self.name, self.names, self.nodes = name, tuple(names), tuple(nodes)
        self.count = len(self.names)
        if not 0 < self.count <= MAX_FIELDS:
            raise ValueError(f"{name} has {self.count} fields, not 1 to {MAX_FIELDS}")
        self.type = type
        defaults = {} if type is None else {field.name: field.default for field in fields_of(type)}
        for i in range(self.count):
            self.sources[i] = ATTRIBUTE
            self.is_projected[i] = self.names[i] in defaults
            self.is_default_null[i] = (
                isinstance(self.nodes[i], Optional) and defaults.get(self.names[i], ...) is None
            )

    def project(self, optional):
        """Skip the fields that are neither required nor in `optional` when reading."""
        required = {field.name for field in fields_of(self.type) if field.required}
        for i in range(self.count):
            self.is_projected[i] &= self.names[i] in optional or self.names[i] in required

    def set_sources(self, arguments, nulls):
        """Write the fields in `arguments` from arguments, and those in `nulls` as null or empty."""
        for i, name in enumerate(self.names):
            if name in nulls:
                self.sources[i] = NULL_OR_EMPTY
            elif name in arguments:
                self.sources[i] = arguments.index(name)

    cdef int write(self, Out* out, object value) except -1:
        return self.write_parts(out, value, ())

    cdef int write_parts(self, Out* out, object value, tuple arguments) except -1:
        cdef Py_ssize_t i = 0
        cdef int source
        try:
            while i < self.count:
                source = self.sources[i]
                if source == ATTRIBUTE:
                    (<Node>self.nodes[i]).write(out, getattr(value, <str>self.names[i]))
                elif source == NULL_OR_EMPTY:
                    write_byte(out, 0)
                else:
                    (<Node>self.nodes[i]).write(out, arguments[source])
                i += 1
        except (AttributeError, TypeError) as error:
            raise TypeError(f"{self.name}.{self.names[i]}: {error}") from error
        except (OverflowError, ValueError) as error:
            raise ValueError(f"{self.name}.{self.names[i]}: {error}") from error
        return 0

    cdef object read(self, In* data):
        cdef PyObject* names[MAX_FIELDS]
        cdef PyObject* values[MAX_FIELDS]
        cdef Py_ssize_t i, size = 0
        cdef object value
        try:
            for i in range(self.count):
                if not self.is_projected[i]:
                    (<Node>self.nodes[i]).skip(data)
                elif self.is_default_null[i] and data.at < data.end and data.at[0] == 0:
                    data.at += 1
                else:
                    value = (<Node>self.nodes[i]).read(data)
                    Py_INCREF(value)
                    values[size] = <PyObject*>value
                    names[size] = <PyObject*>self.names[i]
                    size += 1
            return PyObject_Vectorcall(self.type, values, 0, tuple_of(names, size))
        finally:
            for i in range(size):
                Py_DECREF(<object>values[i])

    cdef int skip(self, In* data) except -1:
        for node in self.nodes:
            (<Node>node).skip(data)
        return 0


cdef tuple tuple_of(PyObject** items, Py_ssize_t count):
    cdef tuple result = PyTuple_New(count)
    for i in range(count):
        Py_INCREF(<object>items[i])
        PyTuple_SET_ITEM(result, i, <object>items[i])
    return result


cdef Node node_of(object schema, dict named, object types):
    """Compile a schema; `named` are the nodes of named types."""
    if isinstance(schema, list):
        if len(schema) != 2 or schema[0] != "null":
            raise ValueError(f"{schema} is not a union of null and one other type")
        return Optional(node_of(schema[1], named, types))
    if isinstance(schema, str):
        if schema in named:
            return named[schema]
        schema = {"type": schema}
    kind = schema["type"]
    if kind == "record":
        nodes = [node_of(field["type"], named, types) for field in schema["fields"]]
        name, names = schema["name"], [intern(field["name"]) for field in schema["fields"]]
        return named.setdefault(
            name, Record(name, names, nodes, None if types is None else types[name])
        )
    if kind == "enum":
        return named.setdefault(schema["name"], Enum(schema["symbols"]))
    if kind == "array":
        return Array(node_of(schema["items"], named, types))
    if kind == "map":
        return Map(node_of(schema["values"], named, types))
    if schema.get("logicalType") == "decimal" and kind == "bytes":
        return Exact(schema["precision"], schema["scale"])
    if kind not in _SIMPLE:
        raise ValueError(f"{schema} cannot be compiled")
    return _SIMPLE[kind]


_SIMPLE = {
    "string": String(),
    "bytes": Bytes(),
    "long": Long(),
    "int": Int(),
    "double": Double(),
    "boolean": Boolean(),
}


cdef class Encoder:
    """Encodes records after a prefix."""

    cdef bytes prefix
    cdef Record record
    cdef tuple arguments

    def __init__(self, bytes prefix not None, Record record not None, arguments):
        self.record, self.arguments = record, tuple(arguments)
        self.set_prefix(prefix)

    def set_prefix(self, bytes prefix not None):
        """Write another prefix from now on."""
        if len(prefix) > STACK_BYTES:
            raise ValueError(f"a prefix of {len(prefix)} bytes")
        self.prefix = prefix

    def encode(self, record, *values):
        """Return the bytes of a record."""
        cdef uint8_t stack[STACK_BYTES]
        cdef Out out
        if len(<tuple>values) != len(self.arguments):
            raise TypeError(f"{len(values)} arguments, expected {', '.join(self.arguments)}")
        out.data, out.heap, out.size, out.capacity = stack, NULL, len(self.prefix), STACK_BYTES
        memcpy(stack, PyBytes_AS_STRING(self.prefix), out.size)
        try:
            self.record.write_parts(&out, record, values)
            return PyBytes_FromStringAndSize(<char*>out.data, out.size)
        finally:
            PyMem_Free(out.heap)


cdef class Decoder:
    """Decodes records."""

    cdef Record record

    def __init__(self, Record record):
        self.record = record

    def decode(self, bytes message not None, Py_ssize_t start):
        """Return the record at an index, and the index after it."""
        cdef In data
        if not 0 <= start <= len(message):
            raise ValueError(f"{start} is not in the message")
        data.begin = <const uint8_t*>PyBytes_AS_STRING(message)
        data.at, data.end = data.begin + start, data.begin + len(message)
        record = self.record.read(&data)
        return record, data.at - data.begin


def encoder(schema, prefix, arguments=(), nulls=()):
    """See `schemas.avro_fallback.encoder`."""
    cdef Record record = node_of(schema, {}, None)
    record.set_sources(arguments, nulls)
    return Encoder(prefix, record, arguments)


def decoder(schema, types, optional=None):
    """See `schemas.avro_fallback.decoder`."""
    cdef Record record = node_of(schema, {}, types)
    if optional is not None:
        record.project(optional)
    return Decoder(record).decode
