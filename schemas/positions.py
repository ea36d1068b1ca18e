"""Positions in `events-raw`, ordered also across Kafka clusters (ADR 43).

The position of an event is one int64: the epoch of its cluster in the upper bits, its offset in the
lower 48. The first cluster of an installation has epoch 0, where position and offset are equal.
"""

_EPOCH_BITS = 48
_OFFSETS = (1 << _EPOCH_BITS) - 1
#: Beyond it, a position would not be an int64.
MAX_EPOCH = (1 << (63 - _EPOCH_BITS)) - 1


def position(epoch: int, offset: int) -> int:
    """Return the position of an offset in the cluster of an epoch."""
    return epoch << _EPOCH_BITS | offset


def epoch_of(at: int) -> int:
    """Return the epoch of a position."""
    return at >> _EPOCH_BITS


def offset_of(at: int) -> int:
    """Return the offset of a position in its own cluster."""
    return at & _OFFSETS
