import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.paths import MAX_PATH_CHARACTERS, NO_PATH, path_of


@pytest.mark.parametrize(
    ("path", "url", "expected"),
    [
        ("/shop", "https://example.com/other", "/shop"),
        (None, "https://example.com/other?q=1#top", "/other"),
        ("", "https://example.com/other", "/other"),
        (None, "https://example.com", "/"),
        (None, "https://[broken", NO_PATH),
        (None, "?q=1", NO_PATH),
        (None, None, NO_PATH),
    ],
)
def test_a_missing_path_is_taken_from_the_url(
    path: str | None, url: str | None, expected: str
) -> None:
    """`path` has precedence; a URL without a path is the root page."""
    assert path_of(path, url) == expected


@given(st.none() | st.text(), st.none() | st.text(max_size=3000))
def test_every_event_has_a_path(path: str | None, url: str | None) -> None:
    """For any strings; paths from a URL are limited."""
    page = path_of(path, url)

    assert page
    assert path or len(page) <= MAX_PATH_CHARACTERS
