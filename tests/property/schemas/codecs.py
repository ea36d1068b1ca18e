"""The compiled codec, and the fallback with fastavro."""

import pytest

from schemas import avro_fallback
from schemas.codec import Codec

CODECS = {"fastavro": Codec(avro_fallback)}
try:
    from schemas import avro_compiled
except ImportError:  # no C compiler; `test_codecs_agree.py` fails if there is one
    pass
else:
    CODECS["compiled"] = Codec(avro_compiled)

each_codec = pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
