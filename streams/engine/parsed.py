"""The records of a fetch as aiokafka's parser makes them, without an object more for each."""

from collections import OrderedDict
from typing import Any

from aiokafka.consumer.fetcher import FetchResult


def hand_out_parsed(fetcher: Any) -> None:
    """Have a fetcher of aiokafka hand out parsed records: offset, timestamp, key, value, headers.

    It makes a `ConsumerRecord` of each, which takes as long as to parse it, or twice; what that
    tells beside, as topic and partition, is known of the whole fetch. See docs/adr/0028.
    """
    fetcher._records = _Fetched(fetcher._records)  # noqa: SLF001 - of the one version that is pinned


class _Fetched(OrderedDict[Any, Any]):
    """What was fetched of each partition, and is still to be taken."""

    def __setitem__(self, tp: Any, result: Any) -> None:
        if isinstance(result, FetchResult):  # else an error
            result._partition_records._consumer_record = _as_parsed  # noqa: SLF001
        super().__setitem__(tp, result)


def _as_parsed(_tp: Any, record: Any) -> Any:
    return record
