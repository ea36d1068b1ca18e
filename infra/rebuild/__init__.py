"""`headrace rebuild`: results computed anew from `events`, in SQL and in their topics."""
