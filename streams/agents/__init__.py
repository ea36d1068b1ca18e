"""The stream agents: one module, one agent, one `register(worker, ...)`. Wiring only."""
