"""The subjects of alert states per site, where newcomers cannot evict established ones."""

from collections import OrderedDict, defaultdict
from collections.abc import Iterator


class Subjects:
    """Subjects of each site, the least recently seen first.

    Newcomers are the subjects of errors that were not reported yet. Anybody can invent them, so
    that they evict only each other.
    """

    def __init__(self) -> None:
        self._established: defaultdict[str, OrderedDict[str, None]] = defaultdict(OrderedDict)
        self._newcomers: defaultdict[str, OrderedDict[str, None]] = defaultdict(OrderedDict)

    def see(self, site_id: str, subject: str, *, is_established: bool) -> None:
        """Record that a subject was seen. An established subject stays established."""
        if is_established or subject in self._established.get(site_id, ()):
            self._remove(self._newcomers, site_id, subject)
            kept = self._established[site_id]
        else:
            kept = self._newcomers[site_id]
        kept[subject] = None
        kept.move_to_end(subject)

    def remove(self, site_id: str, subject: str) -> None:
        """Remove a subject, if it is there."""
        self._remove(self._established, site_id, subject)
        self._remove(self._newcomers, site_id, subject)

    def excess(self, site_id: str, max_established: int, max_newcomers: int) -> Iterator[str]:
        """Yield the subjects beyond the limits, the least recently seen first.

        The caller must remove each one before the next.
        """
        limits = ((self._established, max_established), (self._newcomers, max_newcomers))
        for subjects, limit in limits:
            while len(kept := subjects.get(site_id, ())) > limit:
                yield next(iter(kept))

    def _remove(
        self, subjects: defaultdict[str, OrderedDict[str, None]], site_id: str, subject: str
    ) -> None:
        kept = subjects.get(site_id)
        if kept is None:
            return
        kept.pop(subject, None)
        if not kept:
            del subjects[site_id]
