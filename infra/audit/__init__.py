"""`headrace audit`: whether the results in SQL are what `events` says they must be."""
