"""Links between the documents lead somewhere."""

from pathlib import Path

import pytest

from tests.fixtures.markdown import ROOT, anchors, documents, links

DOCUMENTS = documents()


def test_documents_are_found() -> None:
    """In all folders that have any."""
    assert {path.parent.name for path in DOCUMENTS} >= {"adr", "benchmarks", "guides", "infra"}
    assert sum(1 for path in DOCUMENTS for _ in links(path)) > 100


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_and_anchor_exists(path: Path) -> None:
    """An anchor is that of a heading, as GitHub derives it; other addresses are not checked."""
    broken = []
    for link in links(path):
        if "://" in link or link.startswith("mailto:"):
            continue
        (file, _, anchor) = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)

    assert broken == []
