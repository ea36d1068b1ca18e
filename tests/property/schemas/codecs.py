"""Both codecs: the one that is compiled, and the one of fastavro that stands in for it."""

import pytest

from schemas import avro_fallback
from schemas.codec import Codec

CODECS = {"fastavro": Codec(avro_fallback)}
try:
    from schemas import avro_compiled
except ImportError:  # there is no C compiler; `test_avro.py` says so where there is one
    pass
else:
    CODECS["compiled"] = Codec(avro_compiled)

each_codec = pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
