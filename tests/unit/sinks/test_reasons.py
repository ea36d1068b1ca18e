"""What is said of an error of the database."""

from sinks.sql.errors import driver_message


def test_a_host_of_another_kind_is_reported_by_its_parameter() -> None:
    """Not in asyncpg's words, which hold a Python object."""
    error = RuntimeError(
        "None of the hosts match the target attribute requirement <SessionAttribute.standby: 'x'>"
    )
    assert driver_message(error) == "no host that answers is what target_session_attrs asks for"
