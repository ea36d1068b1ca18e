"""What a candidate measures of itself, told as one line of JSON. Needs nothing but Python."""

import json
import os
import time


class Stopwatch:
    """Wall and CPU time of this process between the first event and the last."""

    def __init__(self, events: int) -> None:
        self.events = events
        self._wall = self._cpu = 0.0

    def begin(self) -> None:
        """Start, once; later calls change nothing."""
        if not self._wall:
            self._wall, self._cpu = time.perf_counter(), time.process_time()

    def end(self) -> None:
        """Stop, and tell: how many events, and seconds of wall and of CPU."""
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        print(json.dumps({"events": self.events, "seconds": wall, "cpu_seconds": cpu}), flush=True)


def end_process() -> None:
    """Leave without saying goodbye to Kafka: what was to be measured is over."""
    os._exit(0)
