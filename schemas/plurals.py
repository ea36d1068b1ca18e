"""Numbers with nouns: "1 event", "2,000 events"."""


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Return the number and its noun. `plural` is needed if irregular."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"
