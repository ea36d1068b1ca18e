"""The consumer side: the SQL sinks, the query API and webhook delivery."""
