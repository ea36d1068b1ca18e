"""Alert subscriptions, and the delivery of alerts to their webhooks."""
