import pytest

from schemas.event_types import EVENT_TYPES
from schemas.headers import EVENT_ID, TYPE
from schemas.raw import dead_letter_reason, site_of
from schemas.reject_reasons import DeadLetterReason

ID = (EVENT_ID, bytes(16))
PAGEVIEW = (TYPE, b"pageview")


@pytest.mark.parametrize("name", EVENT_TYPES)
def test_each_known_type_is_an_event(name: str) -> None:
    """With an id and a key, whatever else is on it."""
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
def test_what_is_no_event_is_told_with_its_reason(
    key: bytes | None, headers: list[tuple[str, bytes]], reason: DeadLetterReason
) -> None:
    """The sentence beside it says what is wrong."""
    problem = dead_letter_reason(key, headers)

    assert problem is not None
    assert problem[0] is reason
    assert problem[1]


def test_a_session_may_have_colons_in_its_id() -> None:
    """The first one splits a key without doubt: a site's id has none."""
    assert site_of(b"shop:a:b") == b"shop"


@pytest.mark.parametrize("key", [b"", b":", b"shop", b"shop:", b":s-1"])
def test_a_key_of_another_form_is_refused(key: bytes) -> None:
    """The sentence says what a key is."""
    with pytest.raises(ValueError, match="site_id:session_id"):
        site_of(key)
