"""`python -m infra`: the `headrace` command, for processes that start one another."""

from infra.cli import main

main()
