"""`python -m infra`: the `headrace` command, for processes that start one another."""

import gc

# Imports make many objects that stay: looking through them a hundred times costs a fifth of
# the start. Later, reference counts free what requests and batches leave.
gc.set_threshold(50_000, 20, 100)

from infra.cli import main  # noqa: E402 - after the line above

main()
