"""`headrace backup` and `headrace restore`."""
