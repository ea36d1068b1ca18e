"""HTTP out: what happens now, alerts, sessions, pages, subscriptions, and the live page."""
