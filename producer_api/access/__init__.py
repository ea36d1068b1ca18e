"""Access control: registered sites, their keys and origins, and rate limits."""
