"""What `headrace up` shows: a line a step, then what to try."""

import shlex
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from infra.data_dir import DataDir
from infra.errors import RoleFailedError, UserError
from infra.local import address_of
from infra.slow_codec import slow_codec
from infra.supervised import ENDED
from schemas.postgres_url import parse_postgres_url
from schemas.settings import Settings

_READY = """
[bold green]headrace is ready[/bold green] after {seconds:.1f} s. Send it an event:

  [bold]curl {url}/api/event -H 'Content-Type: application/json' \\
    -d '{{"type":"pageview","site_id":"my-site","session_id":"s1","path":"/hello"}}'[/bold]

and see the row that it became:

  [bold]{query}[/bold]

  API      {url}/docs
  Logs     {logs}
  Ctrl-C   ends everything in order; the data stays

{page}
"""

#: From the second start in a data directory on.
_READY_AGAIN = """
[bold green]headrace is ready[/bold green] after {seconds:.1f} s. API: {url}/docs · logs: {logs} · \
Ctrl-C ends everything in order
{page}
"""

_SIMULATE = """Simulate visitors:

  [bold]{command} demo --to {url}[/bold]

"""

_PAGE = """The dashboard:
[bold]{url}/?access_token={token}[/bold]"""

_NO_PAGE = """Others can reach {host}, so nothing can be read there without a token. Make one with

  [bold]{command} tokens create --all --data-dir {data_dir}[/bold]

The dashboard asks for it:
[bold]{url}/[/bold]"""


class Screen:
    """Writes to the terminal; plain lines where there is none."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def title(self) -> None:
        """Say what this is, and whether the codec is the slow one."""
        self._print(f"[bold]headrace[/bold] {version('headrace')}")
        if note := slow_codec():
            self.news(f"{note.what}. To change that, {note.do}")

    def step(self, name: str, work: Callable[[], str]) -> None:
        """Do a step: show a green tick and its outcome, or a red cross if it fails.

        A `RoleFailedError` is the failure of its role, whichever role the step waits for.
        """
        began = time.monotonic()
        try:
            with self._console.status(f"{escape(name)} …"):
                outcome = work()
        except UserError as error:
            failed = error.role if isinstance(error, RoleFailedError) else name
            what = error.what if isinstance(error, RoleFailedError) else "failed"
            self._print(f"  [red]✗[/red] {escape(failed):<9} {escape(what)}")
            raise
        seconds = time.monotonic() - began
        self._print(
            f"  [green]✓[/green] {escape(name):<9} {escape(outcome)} [dim]{seconds:.1f} s[/dim]"
        )

    def end(self, name: str, work: Callable[[], str]) -> None:
        """End a process and show how it ended: no tick, for it may have failed before."""
        with self._console.status(f"{escape(name)} …"):
            outcome = work()
        sign = "-" if outcome == ENDED else "[yellow]![/yellow]"
        self._print(f"  {sign} {escape(name):<9} {escape(outcome)}")

    def ready(
        self,
        settings: Settings,
        data_dir: DataDir,
        seconds: float,
        token: str | None,
        *,
        is_first: bool,
    ) -> None:
        """Say that all is ready; what to try at the first start; the page's address comes last."""
        url = address_of(settings.api)
        page = _PAGE if token else _NO_PAGE
        if is_first and token:
            page = _SIMULATE + page
        self._print(
            (_READY if is_first else _READY_AGAIN)
            .format(
                seconds=seconds,
                url=escape(url),
                page=page.format(
                    command=escape(self._command()),
                    url=escape(url),
                    host=escape(settings.api.host),
                    token=token,
                    data_dir=escape(self.shown(data_dir.root)),
                ),
                query=escape(self._query(settings.database.url)),
                logs=escape(self.shown(data_dir.root / "logs")),
            )
            .rstrip("\n")
        )

    def news(self, sentence: str, log: Path | None = None) -> None:
        """Report what happened, with the log that says more."""
        more = f" (log: {escape(self.shown(log))})" if log else ""
        self._print(f"  [yellow]![/yellow] {escape(sentence)}{more}")

    def ending(self) -> None:
        """Say that the end has begun."""
        self._print("\nEnding in order; a second Ctrl-C ends at once.")

    def _print(self, text: str) -> None:
        # The screen may be a file on a full disk, or a terminal that is gone.
        with suppress(OSError):
            self._console.print(text, highlight=False, soft_wrap=True)

    def shown(self, place: str | Path) -> str:
        """Return a path, relative where that is shorter, or a URL without its password."""
        text = str(place)
        if text.startswith("postgres"):
            return parse_postgres_url(text).redacted
        path = Path(text.removeprefix("sqlite:///"))
        return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)

    def _command(self) -> str:
        """Return what starts headrace in this folder: its path when the shell would not find it."""
        started = sys.argv[0]
        found = shutil.which("headrace") or Path(started).name != "headrace"
        return "headrace" if found else self.shown(started)

    def _query(self, url: str) -> str:
        columns = "select type, path, event_ts from events"
        if url.startswith("postgres"):
            return f'psql {shlex.quote(self.shown(url))} -c "{columns}"'
        return f'sqlite3 {shlex.quote(self.shown(url))} "{columns}"'
