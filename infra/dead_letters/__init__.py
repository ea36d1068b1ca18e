"""Dead letters, for the operator: read, shown, replayed."""
