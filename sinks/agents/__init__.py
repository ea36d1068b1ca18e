"""The sink agents: one module, one agent, one `register(worker, writer)`. Wiring only."""
