from collections.abc import Callable
from typing import Any

from producer_api.events.client import Client
from producer_api.events.draft import EncodedEvent, EventContext

class Reader:
    def __init__(
        self,
        decode: Callable[[bytes], Any],
        encode: Callable[..., bytes],
        no_screen: object,
        no_utm: object,
    ) -> None: ...
    def read(
        self, raw: bytes, context: EventContext, client: Client, extra: str | None = None
    ) -> EncodedEvent | None: ...

def murmur2(key: bytes) -> int: ...
