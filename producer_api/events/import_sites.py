"""The sites whose events keep timestamps of any age, by a setting or an open import window."""

import logging
from collections.abc import Callable, Iterable

from schemas.codec import CodecError, decode
from schemas.records import ImportWindow
from schemas.topics import IMPORT_WINDOWS

_log = logging.getLogger(__name__)


class ImportSites:
    """A container of site ids, updated from the topic `import-windows`.

    `site_id in sites` is on the hot path and does no I/O. `now` returns microseconds since the
    epoch.
    """

    def __init__(self, always: Iterable[str], now: Callable[[], int]) -> None:
        self._always = frozenset(always)
        self._now = now
        #: The end of each window in microseconds, by site and window id.
        self._windows: dict[str, dict[str, int]] = {}

    def __contains__(self, site_id: object) -> bool:
        if site_id in self._always:
            return True
        windows = self._windows.get(site_id) if self._windows else None  # type: ignore[call-overload]
        return windows is not None and max(windows.values()) > self._now()

    def apply(self, key: bytes | None, value: bytes | None) -> None:
        """Apply a record of the topic: open, extend or close a window.

        Records that cannot be decoded are skipped and logged. Expired windows are removed.
        """
        try:
            (site_id, _, window_id) = (key or b"").decode().partition(":")
            ends_at = 0 if value is None else decode(value, ImportWindow).ends_at
        except (CodecError, UnicodeError) as error:
            _log.warning("skipping a record of %s: %r: %s", IMPORT_WINDOWS.name, key, error)
            return
        self._windows.setdefault(site_id, {})[window_id] = ends_at
        now = self._now()
        open_windows = {
            site: {name: end for name, end in windows.items() if end > now}
            for site, windows in self._windows.items()
        }
        self._windows = {site: windows for site, windows in open_windows.items() if windows}
