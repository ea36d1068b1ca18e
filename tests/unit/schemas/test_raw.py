import pytest

from schemas.event_types import EVENT_TYPES
from schemas.headers import EVENT_ID, TYPE
from schemas.raw_records import dead_letter_reason, site_of
from schemas.reject_reasons import DeadLetterReason

ID = (EVENT_ID, bytes(16))
PAGEVIEW = (TYPE, b"pageview")


@pytest.mark.parametrize("name", EVENT_TYPES)
def test_each_known_type_is_an_event(name: str) -> None:
    """With an id and a key; other headers are ignored."""
    assert dead_letter_reason(b"shop:s", [("x", b""), (TYPE, name.encode()), ID]) is None


@pytest.mark.parametrize(
    ("key", "headers", "reason"),
    [
        (b"shop:s", [ID], DeadLetterReason.BAD_HEADERS),
        (b"shop:s", [PAGEVIEW], DeadLetterReason.BAD_HEADERS),
        (b"shop:s", [PAGEVIEW, (EVENT_ID, b"short")], DeadLetterReason.BAD_HEADERS),
        (b"shop:s", [(TYPE, b"teleport"), ID], DeadLetterReason.UNKNOWN_TYPE),
        (b"shop", [PAGEVIEW, ID], DeadLetterReason.BAD_KEY),
        (None, [PAGEVIEW, ID], DeadLetterReason.BAD_KEY),
    ],
)
def test_an_invalid_record_has_a_dead_letter_reason(
    key: bytes | None, headers: list[tuple[str, bytes]], reason: DeadLetterReason
) -> None:
    """And a detail."""
    problem = dead_letter_reason(key, headers)

    assert problem is not None
    assert problem[0] is reason
    assert problem[1]


def test_a_session_id_may_contain_colons() -> None:
    """The first colon separates the site, whose id has none."""
    assert site_of(b"shop:a:b") == b"shop"


@pytest.mark.parametrize("key", [b"", b":", b"shop", b"shop:", b":s-1"])
def test_a_malformed_key_is_rejected(key: bytes) -> None:
    """With the expected form."""
    with pytest.raises(ValueError, match="site_id:session_id"):
        site_of(key)
