import gzip
import sys
import tracemalloc
import zlib
from collections.abc import Callable, Container, Iterable
from typing import Any

import pytest

from producer_api.events.decompression import DECOMPRESSORS, decompress, zstd
from producer_api.events.rejection import Rejected, RejectedEarly
from producer_api.http.body import Disconnected, Receive, read_body
from producer_api.http.body_bytes import SMALL_BYTES, BodyBytes, BodyReservation
from schemas.reject_reasons import RejectReason


def receiver(*chunks: bytes, disconnects: bool = False) -> Receive:
    """Return an ASGI `receive` that returns the chunks one by one."""
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks
    ]
    if disconnects:
        messages.append({"type": "http.disconnect"})
    else:
        messages[-1]["more_body"] = False
    waiting: Iterable[dict[str, Any]] = iter(messages)

    async def receive() -> dict[str, Any]:
        return next(iter(waiting))

    return receive


async def read(
    receive: Receive,
    headers: dict[bytes, bytes],
    limit: int,
    encodings: Container[bytes] = (b"gzip", b"x-gzip"),
) -> bytes:
    """Read a body without a limit on all bodies."""
    reservation = BodyReservation(BodyBytes(sys.maxsize))
    return await read_body(receive, headers, limit, reservation, encodings)


async def test_chunks_are_concatenated() -> None:
    """The order is kept."""
    assert await read(receiver(b"ab", b"", b"c"), {}, 3) == b"abc"


async def test_a_body_over_the_limit_is_rejected_before_its_end() -> None:
    """The rest is not read."""
    with pytest.raises(Rejected) as caught:
        await read(receiver(b"ab", b"cd", b"never read"), {}, 3)

    assert caught.value.reason is RejectReason.BODY_TOO_LARGE


async def test_a_content_length_over_the_limit_is_rejected_unread() -> None:
    """A client that sends `Expect: 100-continue` need not send the body."""

    async def receive() -> Any:
        raise AssertionError

    with pytest.raises(Rejected) as caught:
        await read(receive, {b"content-length": b"4"}, 3)

    assert caught.value.reason is RejectReason.BODY_TOO_LARGE


async def test_a_client_that_disconnects_raises() -> None:
    """An incomplete body is not returned."""
    with pytest.raises(Disconnected):
        await read(receiver(b"ab", disconnects=True), {}, 3)


@pytest.mark.parametrize("encoding", [b"gzip", b"GZIP", b" x-gzip "])
async def test_gzip_has_an_alias_and_any_case(encoding: bytes) -> None:
    """`x-gzip` is the alias of RFC 9110."""
    data = gzip.compress(b"abc")

    assert await read(receiver(data), {b"content-encoding": encoding}, 100) == b"abc"


@pytest.mark.parametrize("encoding", [b"br", b"deflate", b"gzip, gzip", b"\xff"])
async def test_other_encodings_are_rejected(encoding: bytes) -> None:
    """The reason is `unsupported_encoding`."""
    with pytest.raises(Rejected) as caught:
        await read(receiver(b""), {b"content-encoding": encoding}, 100)

    assert caught.value.reason is RejectReason.UNSUPPORTED_ENCODING


#: A large body, and how it may arrive.
_LARGE = bytes(SMALL_BYTES + 1)
_ARRIVALS = {
    "complete": (receiver(_LARGE), {}),
    "incomplete": (receiver(_LARGE, b"never read"), {}),
    "compressed": (receiver(gzip.compress(_LARGE, mtime=0)), {b"content-encoding": b"gzip"}),
}


@pytest.mark.parametrize("arrival", _ARRIVALS)
async def test_bodies_over_the_limit_of_all_are_rejected(arrival: str) -> None:
    """The connection is closed only if the body was not read to its end."""
    (receive, headers) = _ARRIVALS[arrival]
    reservation = BodyReservation(BodyBytes(SMALL_BYTES))
    with pytest.raises(Rejected) as caught:
        await read_body(receive, headers, 2 * SMALL_BYTES, reservation)

    assert caught.value.reason is RejectReason.OVERLOADED
    assert isinstance(caught.value, RejectedEarly) is (arrival == "incomplete")


async def test_small_bodies_do_not_count() -> None:
    """They are accepted when there is no capacity for others."""
    body_bytes = BodyBytes(0)
    with BodyReservation(body_bytes) as reservation:
        half = bytes(SMALL_BYTES // 2)
        assert await read_body(receiver(half, half), {}, SMALL_BYTES, reservation) == half * 2

        assert body_bytes.used == 0


def test_incomplete_bodies_leave_a_quarter_to_complete_ones() -> None:
    """A reservation is released at its end, and may always become smaller."""
    body_bytes = BodyBytes(400_000)
    with BodyReservation(body_bytes) as slow, BodyReservation(body_bytes) as other:
        assert slow.resize(300_000, is_incomplete=True)
        assert not slow.resize(300_001, is_incomplete=True)
        assert not other.resize(20_000, is_incomplete=True)
        assert other.resize(100_000)
        assert not slow.resize(300_001)
        assert slow.resize(200_000, is_incomplete=True)
        assert body_bytes.used == 300_000

    assert body_bytes.used == 0


_GZIPPED = gzip.compress(b"abc", mtime=0)  # the name of the test must not contain the time


@pytest.mark.parametrize("data", [b"abc", _GZIPPED[:-1], _GZIPPED + b"rest", b"\x1f\x8b"])
def test_invalid_gzip_is_rejected(data: bytes) -> None:
    """Truncated data and trailing data are invalid as well."""
    with pytest.raises(Rejected) as caught:
        decompress(data, 100)

    assert caught.value.reason is RejectReason.BAD_GZIP


@pytest.mark.parametrize(
    ("compress", "encoding"),
    [(gzip.compress, b"gzip"), (zlib.compress, b"deflate"), (zstd.compress, b"zstd")],
)
async def test_encodings_are_decompressed(
    compress: Callable[[bytes], bytes], encoding: bytes
) -> None:
    """Those that clients of dialects send; `deflate` is that of zlib, as in RFC 9110."""
    data = compress(b"abc")
    headers = {b"content-encoding": encoding}

    assert await read(receiver(data), headers, 100, DECOMPRESSORS) == b"abc"
    for invalid, limit, reason in (
        (data, 2, RejectReason.BODY_TOO_LARGE),
        (data[:-1], 3, RejectReason.BAD_GZIP),
        (b"abcd", 3, RejectReason.BAD_GZIP),
    ):
        with pytest.raises(Rejected) as caught:
            decompress(invalid, limit, encoding)
        assert caught.value.reason is reason


def test_a_large_window_of_zstd_is_rejected() -> None:
    """A frame of a few bytes could make the server allocate 128 MiB."""
    compressor = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 27})
    data = compressor.compress(b"abc") + compressor.flush()

    with pytest.raises(Rejected) as caught:
        decompress(data, 100, b"zstd")

    assert caught.value.reason is RejectReason.BAD_GZIP


@pytest.mark.parametrize(
    ("compress", "encoding"),
    [(gzip.compress, b"gzip"), (zlib.compress, b"deflate"), (zstd.compress, b"zstd")],
)
def test_a_bomb_is_not_decompressed(compress: Callable[[bytes], bytes], encoding: bytes) -> None:
    """For 100 MB in 100 KB or less, the memory stays below 1 MB."""
    bomb = compress(bytes(100_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(Rejected) as caught:
            decompress(bomb, 65_536, encoding)
        (_, peak) = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert caught.value.reason is RejectReason.BODY_TOO_LARGE
    assert peak < 1_000_000


def test_the_limit_of_the_decompressed_size_is_exact() -> None:
    """It applies to the sum of all members."""
    data = gzip.compress(b"ab") + gzip.compress(b"c")

    assert decompress(data, 3) == b"abc"
    with pytest.raises(Rejected):
        decompress(data, 2)


@pytest.mark.timeout(20)
def test_many_empty_members_are_decompressed_in_linear_time() -> None:
    """The rest of the input is not copied for each of 100,000 members."""
    assert decompress(gzip.compress(b"") * 100_000, 3) == b""
