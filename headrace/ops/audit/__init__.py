"""`headrace audit`: compare the results in SQL with a recomputation from `events`."""
