"""Alert subscriptions and webhook delivery."""
