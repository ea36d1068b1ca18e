"""What is live: the windows of `LiveCounters`, for those who count and those who read."""

#: Seconds whose events are told by type; the one going on is the last of them.
LIVE_SECONDS = 60
#: Clock minutes whose events are told; the one going on is the last of them.
LIVE_MINUTES = 30
#: A session or visitor is there so long after its last event.
ACTIVE_SECONDS = 300
#: Pages and referrer hosts that are told.
TOP_NAMES = 50
#: Events that are told one by one, the last that came.
LATEST_EVENTS = 10

#: Counters that are not all zero are sent again after so long, changed or not.
RENEW_SECONDS = 15.0
#: Workers report so often until when their partitions were counted.
COUNTED_SECONDS = 2.0
#: Counters of a partition that were complete longer ago may be too low. A report is up to two
#: intervals old, and so is the next one.
STALLED_SECONDS = 8.0
