"""The most frequent pages, referrer hosts, countries, devices and traffic sources of sessions."""

from collections import Counter
from collections.abc import Iterator

from schemas.live import TOP_NAMES

#: Limit of names per kind and site; the rarest are evicted. Counts are kept by the hash of the
#: name, so that an evicted name has its exact count when it occurs again.
MAX_NAMES = 1_000
#: Limit of a name in the counters.
MAX_NAME_CHARACTERS = 256

_KEPT_NAMES = MAX_NAMES // 2


class NameCounts:
    """The number of sessions per name: a limited number of names with exact counts."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self._names: dict[int, str] = {}

    def move(self, old: int | None, name: str | None) -> int | None:
        """Move a session from one name, given by its hash, to another; return the new hash."""
        if name is None:
            if old is not None:
                self._remove(old)
            return None
        shown = name[:MAX_NAME_CHARACTERS]
        new = hash(shown)
        if new != old:
            if old is not None:
                self._remove(old)
            self._counts[new] += 1
        self._names[new] = shown
        if len(self._names) > MAX_NAMES:
            self._evict_rare(new)
        return new

    def _remove(self, old: int) -> None:
        count = self._counts[old] - 1
        if count:
            self._counts[old] = count
        else:
            del self._counts[old]
            self._names.pop(old, None)

    def replace(self, old: str | None, new: str | None) -> None:
        """Move a session from one name to another."""
        self.move(None if old is None else hash(old[:MAX_NAME_CHARACTERS]), new)

    def top(self) -> Iterator[tuple[str, int]]:
        """Yield the most frequent names and their counts, the highest first."""
        named = ((self._counts[key], name) for key, name in self._names.items())
        for count, name in sorted(named, key=lambda one: (-one[0], one[1]))[:TOP_NAMES]:
            yield name, count

    def _evict_rare(self, just_seen: int) -> None:
        by_count = sorted(self._names, key=self._counts.__getitem__, reverse=True)
        kept = {*by_count[:_KEPT_NAMES], just_seen}
        self._names = {key: name for key, name in self._names.items() if key in kept}
