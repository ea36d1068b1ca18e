import gzip
import tracemalloc
from collections.abc import Iterable
from typing import Any

import pytest

from producer_api.body import Disconnected, Receive, decompress, read_body
from producer_api.rejected import Rejected
from schemas.reject_reasons import RejectReason


def receiver(*pieces: bytes, then_gone: bool = False) -> Receive:
    """Return what gives the pieces one by one."""
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": piece, "more_body": True} for piece in pieces
    ]
    if then_gone:
        messages.append({"type": "http.disconnect"})
    else:
        messages[-1]["more_body"] = False
    waiting: Iterable[dict[str, Any]] = iter(messages)

    async def receive() -> dict[str, Any]:
        return next(iter(waiting))

    return receive


async def test_pieces_are_put_together() -> None:
    """In order."""
    assert await read_body(receiver(b"ab", b"", b"c"), {}, 3) == b"abc"


async def test_a_body_over_the_limit_is_refused_before_it_is_whole() -> None:
    """What comes after is not waited for."""
    with pytest.raises(Rejected) as caught:
        await read_body(receiver(b"ab", b"cd", b"never asked for"), {}, 3)

    assert caught.value.reason is RejectReason.BODY_TOO_LARGE


async def test_an_announced_length_over_the_limit_is_refused_unread() -> None:
    """So a client that asks first need not send it."""

    async def receive() -> Any:
        raise AssertionError

    with pytest.raises(Rejected) as caught:
        await read_body(receive, {b"content-length": b"4"}, 3)

    assert caught.value.reason is RejectReason.BODY_TOO_LARGE


async def test_a_client_that_leaves_has_no_body() -> None:
    """Half a body is none."""
    with pytest.raises(Disconnected):
        await read_body(receiver(b"ab", then_gone=True), {}, 3)


@pytest.mark.parametrize("encoding", [b"gzip", b"GZIP", b" x-gzip "])
async def test_gzip_has_several_names(encoding: bytes) -> None:
    """In any case."""
    packed = gzip.compress(b"abc")

    assert await read_body(receiver(packed), {b"content-encoding": encoding}, 100) == b"abc"


@pytest.mark.parametrize("encoding", [b"br", b"deflate", b"gzip, gzip", b"\xff"])
async def test_other_encodings_are_not_known(encoding: bytes) -> None:
    """The refusal says what is."""
    with pytest.raises(Rejected) as caught:
        await read_body(receiver(b""), {b"content-encoding": encoding}, 100)

    assert caught.value.reason is RejectReason.UNSUPPORTED_ENCODING


_PACKED = gzip.compress(b"abc", mtime=0)  # the time would make a name of its own for each run


@pytest.mark.parametrize("packed", [b"abc", _PACKED[:-1], _PACKED + b"rest", b"\x1f\x8b"])
def test_what_is_not_gzip_is_refused(packed: bytes) -> None:
    """Also when it is not whole, or something follows it."""
    with pytest.raises(Rejected) as caught:
        decompress(packed, 100)

    assert caught.value.reason is RejectReason.BAD_GZIP


def test_a_gzip_bomb_is_never_unpacked() -> None:
    """Not even in memory: 100 MB in 100 KB."""
    bomb = gzip.compress(bytes(100_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(Rejected) as caught:
            decompress(bomb, 65_536)
        (_, peak) = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert caught.value.reason is RejectReason.BODY_TOO_LARGE
    assert peak < 1_000_000


def test_the_limit_of_what_is_unpacked_is_exact() -> None:
    """To the byte, over all members together."""
    packed = gzip.compress(b"ab") + gzip.compress(b"c")

    assert decompress(packed, 3) == b"abc"
    with pytest.raises(Rejected):
        decompress(packed, 2)


@pytest.mark.timeout(20)
def test_a_body_of_nothing_but_empty_members_is_unpacked_at_once() -> None:
    """A hundred thousand of them: what is left is not copied for each."""
    assert decompress(gzip.compress(b"") * 100_000, 3) == b""
