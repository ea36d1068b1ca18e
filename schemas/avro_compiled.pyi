from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

def encoder(
    schema: Any, prefix: bytes, arguments: Sequence[str] = (), nulls: Collection[str] = ()
) -> Callable[..., bytes]: ...
def decoder(
    schema: Any, types: Mapping[str, type], optional: Collection[str] | None = None
) -> Callable[[bytes, int], tuple[Any, int]]: ...
