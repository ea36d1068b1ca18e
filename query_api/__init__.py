"""HTTP out: live counters, alerts, sessions, pages, subscriptions and the dashboard."""
