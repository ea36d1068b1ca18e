"""Coverage-guided fuzzing of the compiled codec, under AddressSanitizer: `make fuzz`.

An input is a byte that chooses a schema, and the body of a message. Decoding must return a record
or raise `CodecError`, a decoded record must survive encoding and decoding, and fastavro's codec
must agree. Any other outcome, an access out of bounds, a leak or exceeding libFuzzer's memory limit
stops the run and saves the input in a file `crash-…`.
"""

import sys
from contextlib import suppress
from pathlib import Path

import atheris

from schemas import avro_compiled, avro_fallback, records
from schemas.codec import SCHEMA_FILES, Codec, CodecError, schema_of
from schemas.records import RawEvent, Record

_IDS = sorted(SCHEMA_FILES)
_TYPES: list[type[Record]] = [getattr(records, schema_of(number)["name"]) for number in _IDS]
_COMPILED, _FASTAVRO = Codec(avro_compiled), Codec(avro_fallback)
_WANTED = ("path", "referrer", "vitals", "truncated")
_PROJECTIONS = [codec.projection(RawEvent, *_WANTED) for codec in (_COMPILED, _FASTAVRO)]


def _read(codec: Codec, message: bytes, record_type: type[Record]) -> Record | None:
    with suppress(CodecError):
        return codec.decode(message, record_type)
    return None


def _project(index: int, message: bytes) -> RawEvent | None:
    with suppress(CodecError):
        return _PROJECTIONS[index](message)
    return None


def fuzz(data: bytes) -> None:
    """Decode an input with both codecs; raise if they differ."""
    if not data:
        return
    index = data[0] % len(_IDS)
    message, record_type = bytes((0, 0, 0, 0, _IDS[index])) + data[1:], _TYPES[index]
    record = _read(_COMPILED, message, record_type)
    if record is not None:
        again = _COMPILED.decode(_COMPILED.encode(record), record_type)
        if repr(again) != repr(record):
            raise AssertionError(f"{record} is {again} after encoding and decoding")
    if repr(record) != repr(_read(_FASTAVRO, message, record_type)):
        raise AssertionError(f"fastavro does not decode {record}")
    if record_type is RawEvent and repr(_project(0, message)) != repr(_project(1, message)):
        raise AssertionError("the projections differ")


def write_seeds(folder: Path, examples: Path) -> None:
    """Write an input for each example record."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in examples.glob("*.bin"):
        message = file.read_bytes()
        (folder / file.stem).write_bytes(bytes((_IDS.index(message[4]),)) + message[5:])


if __name__ == "__main__":
    (corpus, examples) = map(Path, sys.argv[1:3])
    write_seeds(corpus, examples)
    atheris.Setup([sys.argv[0], str(corpus), *sys.argv[3:]], fuzz)
    atheris.Fuzz()
