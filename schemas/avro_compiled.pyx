# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, auto_pickle=False
"""Avro in C: a tree of nodes for each schema, which write to and read from memory.

A schema is compiled once, when its record is first used: `Record` holds the nodes of its fields,
`Array` that of its items, and so on. `avro_fallback` has the same functions without a C compiler.

Reading never trusts a length or a count. Every access is preceded by a comparison with the end,
a block has at most as many items as bytes are left (no item is empty), and the depth is that of
the schema, and a schema that contains itself is rejected.
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
    /* Doubles are little-endian in Avro, whatever the machine is. */
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
    LONGEST_VARINT = 10
    #: Most records fit, and then no memory is allocated but the result's.
    ON_STACK = 2048
    #: Where the value of a field comes from, if not from an argument.
    ATTRIBUTE = -1
    ABSENT = -2


cdef struct Out:
    #: Bytes that are being written; `heap` is NULL while they fit on the stack.
    uint8_t* data
    uint8_t* heap
    Py_ssize_t size
    Py_ssize_t capacity


cdef struct In:
    #: Bytes that are being read, from `at` on.
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
    """Write bytes behind their length."""
    reserve(out, size + LONGEST_VARINT)
    write_varint(out, <uint64_t>size << 1)
    memcpy(out.data + out.size, data, size)
    out.size += size
    return 0


cdef inline void write_varint(Out* out, uint64_t number) noexcept:
    """Write a number; the caller has reserved `LONGEST_VARINT` bytes."""
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
    reserve(out, LONGEST_VARINT)
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
    """Read a length, and see that so many bytes follow."""
    cdef int64_t length = read_long(data)
    if length < 0 or length > data.end - data.at:
        fail(data, f"a length of {length}")
    return <Py_ssize_t>length


cdef inline Py_ssize_t read_count(In* data, const uint8_t** end) except -1:
    """Read how many items the next block has, and its `end` if it says so; 0 behind the last."""
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
    """Check that the items of a block end where it said."""
    if end != NULL and data.at != end:
        fail(data, "a block of another size")
    return 0


cdef class Node:
    """Writes, reads and passes over the values of a schema."""

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
    """A decimal number: the bytes of its integer without the decimal point."""

    cdef int precision
    cdef int scale
    cdef object limit

    def __init__(self, precision, scale):
        self.precision, self.scale, self.limit = precision, scale, 10**precision

    cdef int write(self, Out* out, object value) except -1:
        return Bytes.write(self, out, unscaled_bytes(value, self.precision, self.scale))

    cdef object read(self, In* data):
        cdef Py_ssize_t size = read_length(data)
        if size > self.precision:  # three bits a digit are more than enough
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
    """Return the bytes of a decimal number; `ValueError` when it has too many digits."""
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
            raise ValueError("an enum of more than 64 symbols takes more than a byte")
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
    """A union of null and one other."""

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
        cdef list found = []
        while count := read_count(data, &end):
            for i in range(count):
                found.append(self.items.read(data))
            end_block(data, end)
        return found

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
        cdef dict found = {}
        while count := read_count(data, &end):
            for i in range(count):
                key = self.keys.read(data)
                found[key] = self.values.read(data)
            end_block(data, end)
        return found

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
    """The fields of a record: attributes, or arguments, of what is written; a struct when read."""

    cdef str name
    cdef tuple names
    cdef tuple nodes
    cdef Py_ssize_t count
    cdef int sources[MAX_FIELDS]
    #: What is made when read: fields that are not wanted are passed over and keep their default,
    #: as do those whose default is None and that are null.
    cdef object type
    cdef bint is_wanted[MAX_FIELDS]
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
            self.is_wanted[i] = self.names[i] in defaults
            self.is_default_null[i] = (
                isinstance(self.nodes[i], Optional) and defaults.get(self.names[i], ...) is None
            )

    def read_only(self, wanted):
        """Pass over what is neither wanted nor required."""
        required = {field.name for field in fields_of(self.type) if field.required}
        for i in range(self.count):
            self.is_wanted[i] &= self.names[i] in wanted or self.names[i] in required

    def write_from(self, given, absent):
        """Write some fields from arguments, and others as null or empty."""
        for i, name in enumerate(self.names):
            if name in absent:
                self.sources[i] = ABSENT
            elif name in given:
                self.sources[i] = given.index(name)

    cdef int write(self, Out* out, object value) except -1:
        return self.write_parts(out, value, ())

    cdef int write_parts(self, Out* out, object value, tuple given) except -1:
        cdef Py_ssize_t i = 0
        cdef int source
        try:
            while i < self.count:
                source = self.sources[i]
                if source == ATTRIBUTE:
                    (<Node>self.nodes[i]).write(out, getattr(value, <str>self.names[i]))
                elif source == ABSENT:
                    write_byte(out, 0)
                else:
                    (<Node>self.nodes[i]).write(out, given[source])
                i += 1
        except (AttributeError, TypeError) as error:
            raise TypeError(f"{self.name}.{self.names[i]}: {error}") from error
        except (OverflowError, ValueError) as error:
            raise ValueError(f"{self.name}.{self.names[i]}: {error}") from error
        return 0

    cdef object read(self, In* data):
        cdef PyObject* names[MAX_FIELDS]
        cdef PyObject* values[MAX_FIELDS]
        cdef Py_ssize_t i, found = 0
        cdef object value
        try:
            for i in range(self.count):
                if not self.is_wanted[i]:
                    (<Node>self.nodes[i]).skip(data)
                elif self.is_default_null[i] and data.at < data.end and data.at[0] == 0:
                    data.at += 1
                else:
                    value = (<Node>self.nodes[i]).read(data)
                    Py_INCREF(value)
                    values[found] = <PyObject*>value
                    names[found] = <PyObject*>self.names[i]
                    found += 1
            return PyObject_Vectorcall(self.type, values, 0, tuple_of(names, found))
        finally:
            for i in range(found):
                Py_DECREF(<object>values[i])

    cdef int skip(self, In* data) except -1:
        for node in self.nodes:
            (<Node>node).skip(data)
        return 0


cdef tuple tuple_of(PyObject** items, Py_ssize_t count):
    cdef tuple made = PyTuple_New(count)
    for i in range(count):
        Py_INCREF(<object>items[i])
        PyTuple_SET_ITEM(made, i, <object>items[i])
    return made


cdef Node node_of(object schema, dict named, object types):
    """Compile a schema; `named` are those that it may refer to by name."""
    if isinstance(schema, list):
        if len(schema) != 2 or schema[0] != "null":
            raise ValueError(f"{schema} is not a union of null and one other")
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
    """Writes records behind a prefix."""

    cdef bytes prefix
    cdef Record record
    cdef tuple given

    def __init__(self, bytes prefix not None, Record record not None, given):
        if len(prefix) > ON_STACK:
            raise ValueError(f"a prefix of {len(prefix)} bytes")
        self.prefix, self.record, self.given = prefix, record, tuple(given)

    def encode(self, record, *given):
        """Return the bytes of a record."""
        cdef uint8_t stack[ON_STACK]
        cdef Out out
        if len(<tuple>given) != len(self.given):
            raise TypeError(f"{len(given)} fields are given, not {', '.join(self.given)}")
        out.data, out.heap, out.size, out.capacity = stack, NULL, len(self.prefix), ON_STACK
        memcpy(stack, PyBytes_AS_STRING(self.prefix), out.size)
        try:
            self.record.write_parts(&out, record, given)
            return PyBytes_FromStringAndSize(<char*>out.data, out.size)
        finally:
            PyMem_Free(out.heap)


cdef class Decoder:
    """Reads records."""

    cdef Record record

    def __init__(self, Record record):
        self.record = record

    def decode(self, bytes message not None, Py_ssize_t start):
        """Return the record that begins at an index, and the index behind its end."""
        cdef In data
        if not 0 <= start <= len(message):
            raise ValueError(f"{start} is not in the message")
        data.begin = <const uint8_t*>PyBytes_AS_STRING(message)
        data.at, data.end = data.begin + start, data.begin + len(message)
        record = self.record.read(&data)
        return record, data.at - data.begin


def encoder(schema, prefix, given=(), absent=()):
    """See `schemas.avro_fallback.encoder`."""
    cdef Record record = node_of(schema, {}, None)
    record.write_from(given, absent)
    return Encoder(prefix, record, given).encode


def decoder(schema, types, wanted=None):
    """See `schemas.avro_fallback.decoder`."""
    cdef Record record = node_of(schema, {}, types)
    if wanted is not None:
        record.read_only(wanted)
    return Decoder(record).decode
