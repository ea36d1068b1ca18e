"""`Forwarded` (RFC 7239) as proxies may write it, behind any text of the client."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from schemas.forwarded import elements_from_end
from schemas.trusted_proxies import TrustedProxies

_TOKEN = "!#$%&'*+-.^_`|~09AZaz"  # noqa: S105 - the characters of a token
_SPACES = st.sampled_from(["", " ", "\t "])
_NAMES = ["for", "by", "host", "proto", "secret"]
_TEXTS = st.text(st.sampled_from('",;= \\forxyz1.[]:'), max_size=12)


@st.composite
def written(draw: st.DrawFn, parameters: Mapping[str, str]) -> str:
    """Return an element with these parameters, in any order, case and quoting."""
    pairs = []
    for name, value in draw(st.permutations([*parameters.items()])):
        cased = "".join(draw(st.sampled_from([one, one.upper()])) for one in name)
        every = draw(st.booleans())  # any character may be escaped
        escaped = (f"\\{one}" if every or one in '"\\' else one for one in value)
        quoted = f'"{"".join(escaped)}"'
        is_token = value and set(value) <= set(_TOKEN)
        shown = value if is_token and draw(st.booleans()) else quoted
        pairs.append(f"{draw(_SPACES)}{cased}={shown}{draw(_SPACES)}")
    return ";".join(pairs)


ELEMENTS = st.lists(
    st.dictionaries(st.sampled_from(_NAMES), _TEXTS | st.text(_TOKEN), min_size=1, max_size=4),
    min_size=1,
    max_size=4,
)


@given(ELEMENTS, st.data())
def test_well_formed_elements_are_read_from_the_end(
    elements: list[dict[str, str]], data: st.DataObject
) -> None:
    """Names in lower case, values without quotes and escapes; empty elements are skipped."""
    texts = [data.draw(written(element)) for element in elements]
    separator = data.draw(st.sampled_from([",", ", ", " , ,"]))

    assert [*elements_from_end(separator.join(texts))] == elements[::-1]


@given(_TEXTS | st.text(), st.dictionaries(st.sampled_from(_NAMES[1:]), _TEXTS), st.data())
def test_no_text_of_a_client_hides_or_changes_the_element_of_a_proxy(
    forged: str, others: dict[str, str], data: st.DataObject
) -> None:
    """The proxy appends its element, with values that the client may choose (`host`)."""
    element = data.draw(written({**others, "for": "1.1.1.1"}))
    value = f"{forged},{element}".encode("latin-1", "replace")

    proxies = TrustedProxies(("10.0.0.0/8",))

    assert proxies.client_address("10.0.0.1", [(b"forwarded", value)]) == "1.1.1.1"


@given(st.text(st.sampled_from('",;=\\ a'), min_size=1, max_size=6), st.sampled_from([0, 1, 2]))
def test_a_long_header_is_read_in_linear_time(piece: str, tail: int) -> None:
    """Quadratic time would take hours, and the time limit of the test ends it."""
    value = piece * (200_000 // len(piece)) + ("", '"', ",for=1.1.1.1")[tail]

    last = next(elements_from_end(value), {})

    assert last == {"for": "1.1.1.1"} or tail < 2
