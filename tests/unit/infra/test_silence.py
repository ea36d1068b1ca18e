"""A role that answered and then does not for too long is noticed, and no other."""

from infra.silence import LIMIT_SECONDS, Silence


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        """Return seconds."""
        return self.now


def test_a_role_that_fell_silent_is_noticed_once_the_limit_is_over() -> None:
    """And then begins anew: it is started again."""
    silence = Silence(clock := Clock())
    assert not silence.is_too_long("web", heard=True)
    clock.now = LIMIT_SECONDS
    assert not silence.is_too_long("web", heard=False)
    clock.now += 1

    assert silence.is_too_long("web", heard=False)
    assert not silence.is_too_long("web", heard=False)


def test_a_role_that_answers_in_between_is_well() -> None:
    """Silence counts from the last answer."""
    silence = Silence(clock := Clock())
    silence.is_too_long("web", heard=True)
    clock.now = LIMIT_SECONDS
    silence.is_too_long("web", heard=True)
    clock.now += LIMIT_SECONDS

    assert not silence.is_too_long("web", heard=False)


def test_a_role_that_starts_may_take_its_time() -> None:
    """Its database may be away, or its migration long."""
    silence = Silence(clock := Clock())
    silence.is_too_long("sinks", heard=False)
    clock.now = 100 * LIMIT_SECONDS

    assert not silence.is_too_long("sinks", heard=False)
