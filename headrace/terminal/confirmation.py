"""Confirmation of commands that delete something."""

import typer

from headrace.errors import UserError


def confirm(question: str, unchanged: str) -> None:
    """Ask a question. Raises UserError, beginning with `unchanged`, unless it is answered with y.

    Without a terminal, or at the end of the input, the error is the same.
    """
    try:
        is_confirmed = typer.confirm(question)
    except typer.Abort:
        is_confirmed = False
    if not is_confirmed:
        raise UserError(f"{unchanged}: confirm with y, or use --yes")
