"""A message ends where its record ends, whatever version of the schema wrote it."""

import pytest

from schemas.codec import SCHEMA_FILES, Codec, CodecError
from tests.contract.schemas.record_examples import FOLDER, example_id
from tests.contract.schemas.test_records import RECORDS
from tests.property.schemas.codecs import each_codec


@each_codec
@pytest.mark.parametrize("schema_id", sorted(SCHEMA_FILES))
def test_bytes_after_the_record_are_rejected(codec: Codec, schema_id: int) -> None:
    """Older versions included: such a record is dead-lettered instead of being truncated."""
    name = example_id(schema_id)
    message = (FOLDER / f"{name}.bin").read_bytes()
    record_type = RECORDS[name.partition("-")[2]]

    assert isinstance(codec.decode(message, record_type), record_type)
    with pytest.raises(CodecError):
        codec.decode(message + b"\x00", record_type)
