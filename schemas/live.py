"""The windows and intervals of `LiveCounters`, shared by its producers and consumers."""

#: The number of seconds with event counts by type, including the current one.
LIVE_SECONDS = 60
#: The number of clock minutes with event counts, including the current one.
LIVE_MINUTES = 30
#: How long a session or visitor is active after its last event.
ACTIVE_SECONDS = 300
#: Maximum number of pages, referrer hosts, countries, devices and traffic sources.
TOP_NAMES = 50
#: Number of latest events.
LATEST_EVENTS = 10

#: Nonzero counters are published at least this often, changed or not.
RENEW_SECONDS = 15.0
#: Interval of the records that report up to when counters are complete (header `counted`).
COUNTED_SECONDS = 2.0
#: Counters that were complete longer ago than this are stale, and may be too low. It allows for
#: two of these records, each up to two intervals late.
STALLED_SECONDS = 8.0
