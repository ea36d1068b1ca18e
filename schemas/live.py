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
#: A partition with counters sends some of them so often: those of one site when no others are due.
#: So a reader soon sees that nobody counts it.
ALIVE_SECONDS = 2.0
#: A partition that was silent for longer is not counted now; its workers have had time to speak.
STALLED_SECONDS = 6.0

#: Of the HLL sketches of visitors: a standard error of 0.6 %. With 12, one estimate in five
#: would be more than 2 % off.
VISITORS_LG_K = 15
