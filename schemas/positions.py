"""Positions in `events-raw`, which are ordered across Kafka clusters (ADR 43).

A position is an int64: the epoch of the cluster in the upper bits, the offset in the lower 48. The
first cluster of an installation has epoch 0, so there positions equal offsets.
"""

_EPOCH_BITS = 48
_OFFSETS = (1 << _EPOCH_BITS) - 1
#: The largest epoch whose positions fit an int64.
MAX_EPOCH = (1 << (63 - _EPOCH_BITS)) - 1


def position(epoch: int, offset: int) -> int:
    """Return the position of an offset in the cluster with this epoch."""
    return epoch << _EPOCH_BITS | offset


def epoch_of(at: int) -> int:
    """Return the epoch of a position."""
    return at >> _EPOCH_BITS


def offset_of(at: int) -> int:
    """Return the offset of a position in its cluster."""
    return at & _OFFSETS
