"""Where generated ids end and names begin, at each limit."""

import pytest

from streams.domain.routing.random_ids import is_bundle_hash, is_id, is_joined_id, is_word


@pytest.mark.parametrize(
    "part", ["1T11", "rgRq0X", "cart0d50", "Total1view2id3", "f6fZKOenJogQfva5U", "BcBxaxEaEcdedb"]
)
def test_random_text_is_an_id_without_a_prefix(part: str) -> None:
    """It changes its kind of characters often, or has at least three numbers in 14 characters."""
    assert is_id(part, has_prefix=False)


@pytest.mark.parametrize(
    "part",
    [
        "1k2",
        "018c",
        "AAxdCb",
        "Tota1view2id3",
        "3377view",
        "utf8caf2d642",
        "CaAExedAxdAbaAE",
        "HQFDPRWtotal3a880b",
    ],
)
def test_names_and_short_texts_are_no_ids_without_a_prefix(part: str) -> None:
    """Words with numbers, and texts that are too short to be random."""
    assert not is_id(part, has_prefix=False)


@pytest.mark.parametrize(
    "part", ["7zdl4", "RvbXrv5", "Rc11YbaY", "BcBxaxEaEcdedb", "float32563dee7c5"]
)
def test_shorter_text_is_an_id_after_a_prefix(part: str) -> None:
    """As in `req-7f3k2`: two numbers, eight characters with a number, or random words."""
    assert is_id(part, has_prefix=True)


@pytest.mark.parametrize("part", ["12345678", "1TRq", "utf8"])
def test_numbers_and_names_are_no_ids_after_a_prefix(part: str) -> None:
    """Numbers are masked as numbers; `utf_8` and `utf8` are names."""
    assert not is_id(part, has_prefix=True)


@pytest.mark.parametrize(
    ("part", "expected"), [("04", True), ("order", True), ("Or", False), ("a1b", False)]
)
def test_a_word_has_one_kind_of_characters(part: str, expected: bool) -> None:
    """At least three letters, or digits."""
    assert is_word(part) is expected


@pytest.mark.parametrize(
    ("chunk", "start"),
    [
        ("XWMMBHYEOACGACO5ALCR_W", 0),
        ("user_XWMMBHYEOACGACO5ALCR_W", 5),
        ("AXWMMBHYEOACGACO5ALCR_W", None),
        ("x-JW_SDE-syKWAgy7cjWkGRV", None),
        ("ERR_CONNECTION_REFUSED", None),
    ],
)
def test_an_id_with_separators_has_the_length_of_a_nanoid_or_a_uuid(
    chunk: str, start: int | None
) -> None:
    """It begins the chunk or follows a separator."""
    assert is_joined_id(chunk) == start


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("58582296", True),
        ("5858229", False),
        ("APIreact", True),
        ("HNuztbdz", True),
        ("lpx_shop", False),
        ("PageView", False),
    ],
)
def test_a_bundle_hash_has_eight_characters_that_form_no_words(part: str, expected: bool) -> None:
    """A number of eight digits is one, because bundled files have hashes for names."""
    assert is_bundle_hash(part) is expected
