"""Avro by generated code: straight-line Python functions, made of a schema (docs/adr/0013).

`encoder` and `decoder` write the source of one function for one record, with everything that
is nested in it inlined, and compile it. They are for the newest schema of a record; fastavro
reads older ones, and properties hold what is generated equal to it, byte for byte.

An encoder joins texts in which each character stands for one byte (Latin-1), so that a text
that is ASCII is taken as it is. A decoder moves an index `i` over the bytes. A slice ends
where the bytes end, and each value takes at least one byte: whatever lengths and counts say,
the index is out of range, or beyond the end, before much memory is taken.
"""
