"""The subjects of a schema registry, by the strategy `TopicNameStrategy`: one per topic."""

from collections.abc import Iterator
from typing import NamedTuple

from schemas.codec import SCHEMA_FILES, ids_of, schema_of
from schemas.topics import TOPICS


class Subject(NamedTuple):
    """A subject, and our ids of its schemas, the newest last."""

    name: str
    schema_ids: tuple[int, ...]


def subjects() -> Iterator[Subject]:
    """Yield the subject of the values of each topic. Keys are plain text without a schema."""
    for topic in TOPICS:
        yield Subject(f"{topic.name}-value", ids_of(topic.record))


def first_subjects() -> dict[int, str]:
    """Return the subject by whose ids records are written, for each of our schema ids."""
    found: dict[int, str] = {}
    for subject in subjects():
        for schema_id in subject.schema_ids:
            found.setdefault(schema_id, subject.name)
    return {schema_id: found[schema_id] for schema_id in SCHEMA_FILES}


def newest_of_all() -> set[int]:
    """Return our ids of the schemas that records are written with."""
    return {ids_of(schema_of(schema_id)["name"])[-1] for schema_id in SCHEMA_FILES}
