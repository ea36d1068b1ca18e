"""What is held for a clock that is right enough."""

#: How far stream time may lead a worker's clock, and a clock be off before it is reported.
LEAD_MS = 5 * 60_000
#: How the sentence on a broker's clock begins; it is a warning, which holds up no start.
CLOCK_PROBLEM = "the clock of Kafka is"
