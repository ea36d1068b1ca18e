"""JSON objects whose numbers are decoded and encoded without rounding."""

from decimal import Decimal
from typing import Any

import msgspec

JsonObject = dict[str, Any]

_decoder = msgspec.json.Decoder(JsonObject, float_hook=Decimal)

#: Returns JSON on one line; raises UnicodeEncodeError for text that is not UTF-8.
encode = msgspec.json.Encoder(decimal_format="number").encode


def decode_object(data: bytes) -> JsonObject | None:
    """Return a JSON object, with fractions as Decimal, or None for anything else."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
