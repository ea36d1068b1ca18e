from urllib.parse import parse_qsl

from hypothesis import example, given
from hypothesis import strategies as st

from producer_api.events.request import parameters_of


@given(st.text("ab=&+%20?;", max_size=20) | st.text(max_size=20))
@example("a=1&a=2&&=&b&c=%41%zz+d&%E2%82=")
def test_parameters_are_those_of_the_standard_library(query: str) -> None:
    """For any query."""
    assert parameters_of(query) == dict(parse_qsl(query, keep_blank_values=True))
