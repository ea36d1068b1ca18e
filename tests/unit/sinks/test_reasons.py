"""Messages of database errors."""

from sinks.sql.errors import driver_message


def test_a_host_of_the_wrong_kind_is_reported_by_its_parameter() -> None:
    """Asyncpg's message contains a Python object."""
    error = RuntimeError(
        "None of the hosts match the target attribute requirement <SessionAttribute.standby: 'x'>"
    )
    assert driver_message(error) == "no available host satisfies target_session_attrs"
