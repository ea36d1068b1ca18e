"""`headrace dlq`: list, show, replay and discard dead letters."""
