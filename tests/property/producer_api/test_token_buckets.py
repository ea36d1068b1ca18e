"""Token buckets against a model in exact numbers."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from producer_api.access.token_buckets import BURST_SECONDS, TokenBucket, TokenBuckets

#: Rates and times that floats represent exactly, so that the model has no other rounding.
rates = st.sampled_from([1, 2, 4, 16, 50, 64, 1000])
pauses = st.lists(st.integers(0, 4096).map(lambda n: n / 1024), max_size=300)


@given(rates, pauses)
def test_a_token_bucket_grants_what_the_model_grants(rate: int, waits: list[float]) -> None:
    """A bucket that starts full, gets `rate` tokens a second, and holds ten seconds of them."""
    bucket, now = TokenBucket(rate), 5.0
    capacity = Fraction(rate) * Fraction(BURST_SECONDS)
    tokens = capacity
    for wait in waits:
        now += wait
        tokens = min(capacity, tokens + Fraction(wait) * rate)
        seconds = bucket.take(now)
        if abs(tokens - 1) < Fraction(1, 1000):  # within rounding of the limit
            tokens = tokens - 1 if not seconds else tokens
            continue
        assert (seconds == 0) == (tokens >= 1)
        if seconds:
            assert abs(seconds - float((1 - tokens) / rate)) < 1e-6
        else:
            tokens -= 1


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 3)), max_size=300))
def test_buckets_of_different_keys_are_independent(takes: list[tuple[str, int]]) -> None:
    """As long as they fit into the limit, each key is treated as if it were alone."""
    together, now = TokenBuckets(1, limit=6), 0.0
    alone = {key: TokenBucket(1) for key in "abcdef"}
    for key, wait in takes:
        now += wait
        assert together.take(key, now) == alone[key].take(now)


@given(st.lists(st.integers(0, 50), max_size=500), st.integers(1, 10))
def test_the_number_of_buckets_is_bounded(keys: list[int], limit: int) -> None:
    """Whatever keys come; a bucket that is full again is dropped first."""
    buckets = TokenBuckets(1, limit)
    for number, key in enumerate(keys):
        buckets.take(str(key), number / 100)

        assert len(buckets) <= limit
    buckets.take("last", 1e6)
    buckets.take("last", 1e6)
    assert len(buckets) <= max(1, limit - 2)


@given(rates, st.integers(1, 500))
def test_borrowed_tokens_are_paid_back(rate: int, count: int) -> None:
    """The bucket gets no more tokens than its rate."""
    bucket, now = TokenBucket(rate), 5.0
    for _ in range(int(rate * BURST_SECONDS)):
        assert bucket.take(now) == 0
    for _ in range(count):
        assert bucket.take(now, borrows=True) == 0

    assert abs(bucket.take(now) - (count + 1) / rate) < 1e-6
