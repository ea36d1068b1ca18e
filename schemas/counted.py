"""Numbers of things in sentences: "1 event", "2,000 events"."""


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Return the number with its noun, in the plural unless it is 1; `plural` if irregular."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"
