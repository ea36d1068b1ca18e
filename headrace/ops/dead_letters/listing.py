"""Terminal output of `headrace dlq`. The contents of dead letters are untrusted."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from headrace.ops.dead_letters.dead_letter import DeadLetter
from headrace.ops.dead_letters.discard import Selected
from headrace.ops.dead_letters.reader import Counts, Overview
from headrace.ops.dead_letters.replay import OnProgress, Report
from headrace.terminal.tables import visible
from headrace.terminal.times import utc
from schemas.plurals import counted

LABELS = ("id", "when (UTC)", "reason", "stage", "source", "detail")
#: The width, in characters, of a table with a column for each label.
_FULL_WIDTH = 130


def render_overview(overview: Overview, width: int) -> Iterator[RenderableType]:
    """Yield the verdict, a table of the newest dead letters and a table of the reasons.

    If `width` is small, the table has two values per column.
    """
    yield _verdict(overview.counts)
    if not overview.counts.all:
        return
    if overview.newest:
        yield _newest(overview, width)
    (every, replayed, discarded) = overview.counts
    reasons = Table("reason", "dead letters", "replayed", "discarded")
    for column in reasons.columns[1:]:
        column.justify = "right"
    for reason, count in every.most_common():
        row = (f"{number:,}" for number in (count, replayed[reason], discarded[reason]))
        reasons.add_row(visible(reason or "none"), *row)
    reasons.add_section()
    reasons.add_row("all", *(f"{counts.total():,}" for counts in overview.counts))
    yield reasons


def _verdict(counts: Counts) -> Text:
    (every, replayed, discarded) = (numbers.total() for numbers in counts)
    if not every:
        return Text("There are no dead letters.", style="green")
    unresolved = every - replayed - discarded
    resolved = ((replayed, "replayed"), (discarded, "discarded"))
    outcomes = ", ".join(f"{count:,} {outcome}" for count, outcome in resolved if count)
    summary = f"{counted(every, 'dead letter')}{': ' if outcomes else ''}{outcomes}"
    if not unresolved:
        return Text(f"Nothing to do. {summary}.", style="green")
    do = "see `headrace dlq show ID`, fix the cause, then `headrace dlq replay` or `discard`"
    return Text(f"{counted(unresolved, 'dead letter')} to look at: {do}", style="yellow")


def _newest(overview: Overview, width: int) -> Table:
    is_narrow = width < _FULL_WIDTH
    table = Table()
    for label in _in_pairs(LABELS) if is_narrow else LABELS:
        table.add_column(label, overflow="fold")
    table.columns[0].no_wrap = True
    for letter in overview.newest:
        outcome = " discarded" if letter.key in overview.resolutions.discarded else ""
        outcome = " replayed" if letter.key in overview.resolutions.replayed else outcome
        row = cells(letter, outcome)
        table.add_row(*(_in_pairs(row) if is_narrow else map(visible, row)))
    return table


def _in_pairs(cells: tuple[str, ...]) -> list[Text]:
    (letter_id, when, reason, stage, source, detail) = cells
    pairs = ((letter_id,), when.split(), (reason, stage), (source, detail))
    return [Text("\n").join(map(visible, pair)) for pair in pairs]


def cells(letter: DeadLetter, outcome: str = "") -> tuple[str, ...]:
    """Return the values of a dead letter, in the order of `LABELS`."""
    source = "" if letter.source is None else str(letter.source)
    when = utc(letter.at_ms) + outcome
    return (str(letter.id), when, letter.reason, letter.stage, source, letter.detail)


@contextmanager
def progress(console: Console) -> Iterator[OnProgress]:
    """Show a status line while a replay runs, if the console is a terminal."""
    with console.status("Reading dead letters …") as status:

        def on_progress(report: Report) -> None:
            status.update(f"{counted(report.replayed.total(), 'dead letter')}, {report.latest}")

        yield on_progress


def render_report(report: Report, *, dry_run: bool) -> Iterator[RenderableType]:
    """Yield the verdict and the table of a replay."""
    letters = counted(report.replayed.total(), "dead letter")
    more = " `headrace dlq list` shows what is rejected again." if report.replayed else ""
    yield (
        f"{letters} would be replayed. Nothing was sent."
        if dry_run
        else (f"{letters} replayed.{more}")
    )
    table = Table("dead letters", "stage", "reason", "outcome")
    table.columns[0].justify = "right"
    outcomes = (
        (report.replayed, "to be replayed" if dry_run else "replayed", "green"),
        (report.already_replayed, "already replayed", ""),
        (report.already_discarded, "already discarded", ""),
        (report.foreign, "not written by headrace: cannot be replayed", "red"),
    )
    for counts, outcome, style in outcomes:
        for (stage, reason), count in counts.most_common():
            cells = (visible(stage or "none"), visible(reason or "none"), Text(outcome, style))
            table.add_row(f"{count:,}", *cells)
    if table.rows:
        yield table


def render_selection(selected: Sequence[Selected], report: Report) -> Iterator[str]:
    """Yield lines that summarize what `headrace dlq discard` is about to do."""
    kinds = Counter((one.letter.stage, one.letter.reason) for one in selected)
    for (stage, reason), count in kinds.most_common():
        what = f"{counted(count, 'dead letter')} of {stage or 'no stage'}: {reason or 'no reason'}"
        yield str(visible(what))
    resolved = ((report.already_discarded, "discarded"), (report.already_replayed, "replayed"))
    for counts, outcome in resolved:
        if count := counts.total():
            was = "was" if count == 1 else "were"
            yield f"{counted(count, 'dead letter')} {was} {outcome} before."
