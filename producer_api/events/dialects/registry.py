"""The table of dialects. A new one is a module and a row here; docs/dialects.md is the recipe."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from producer_api.events.dialects.amplitude import AMPLITUDE
from producer_api.events.dialects.goatcounter import GOATCOUNTER
from producer_api.events.dialects.jitsu import JITSU
from producer_api.events.dialects.matomo import MATOMO
from producer_api.events.dialects.mixpanel import MIXPANEL
from producer_api.events.dialects.model import Dialect, Endpoint
from producer_api.events.dialects.openpanel import OPENPANEL
from producer_api.events.dialects.plausible import PLAUSIBLE
from producer_api.events.dialects.posthog import POSTHOG
from producer_api.events.dialects.rudderstack import RUDDERSTACK
from producer_api.events.dialects.rybbit import RYBBIT
from producer_api.events.dialects.segment import SEGMENT
from producer_api.events.dialects.snowplow import SNOWPLOW
from producer_api.events.dialects.umami import UMAMI
from schemas.settings import SettingsError

#: In the order of matching: endpoints of several dialects may share a path.
DIALECTS: tuple[Dialect, ...] = (
    PLAUSIBLE,
    UMAMI,
    JITSU,
    RUDDERSTACK,
    SEGMENT,
    MATOMO,
    GOATCOUNTER,
    SNOWPLOW,
    OPENPANEL,
    RYBBIT,
    POSTHOG,
    MIXPANEL,
    AMPLITUDE,
)

_CACHED_PATHS = 256
_VARIABLE = re.compile(r"\\\{\w+\\\}")


class Route(NamedTuple):
    """An endpoint with its dialect."""

    dialect: Dialect
    endpoint: Endpoint


def enabled(names: Iterable[str]) -> frozenset[str]:
    """Return the enabled dialects of the setting; raises `SettingsError` for an unknown name."""
    known = [dialect.name for dialect in DIALECTS]
    chosen = frozenset(names) - {"none"}
    if unknown := sorted(chosen.difference(known, ["all"])):
        raise SettingsError(
            f"HEADRACE_API__DIALECTS: {unknown[0]!r} is not a dialect; known: all, none, "
            f"{', '.join(known)}"
        )
    return frozenset(known) if "all" in chosen else chosen


class Routes:
    """The endpoints of dialects by path."""

    def __init__(self, dialects: Iterable[Dialect]) -> None:
        self._exact: defaultdict[str, list[Route]] = defaultdict(list)
        self._patterns: list[tuple[re.Pattern[str], Route]] = []
        for dialect in dialects:
            for endpoint in dialect.endpoints:
                route = Route(dialect, endpoint)
                if "{" in endpoint.path:
                    pattern = _VARIABLE.sub("[^/]+", re.escape(endpoint.path))
                    self._patterns.append((re.compile(pattern), route))
                else:
                    self._exact[endpoint.path].append(route)

        #: Few paths are requested often.
        self._cached = lru_cache(maxsize=_CACHED_PATHS)(self._at)

    def at(self, path: str) -> Sequence[Route]:
        """Return the endpoints of a canonical path, in the order of the table."""
        return self._cached(path)

    def _at(self, path: str) -> Sequence[Route]:
        if path in self._exact:
            return self._exact[path]
        return [route for pattern, route in self._patterns if pattern.fullmatch(path)]
