"""`headrace demo`: simulated visitors of a fictional shop."""
