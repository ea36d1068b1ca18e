"""The tolerated deviation of clocks."""

#: Maximum lead of stream time over a worker's clock; a larger deviation is reported.
LEAD_MS = 5 * 60_000
#: Prefix of the message about a broker's clock. It is a warning, and does not block the start.
CLOCK_PROBLEM = "the clock of Kafka is"
