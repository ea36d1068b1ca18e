"""`headrace rebuild`: recompute results from `events`, in SQL and in their topics."""
