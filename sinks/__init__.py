"""The way out: results into SQL, live HTTP answers and webhooks."""
