"""Links between the documents lead somewhere."""

import re
from pathlib import Path

import pytest

from tests.fixtures.markdown import ROOT, anchors, documents, links, spans

DOCUMENTS = documents()
#: Records of the past may name modules that are gone.
PRESENT = [path for path in DOCUMENTS if path.name != "CHANGELOG.md" and path.parent.name != "adr"]
#: The examples of the guide for contributors.
EXAMPLES = {"schemas/examples/valid/video_play/basic.json", "streams/agents/collect_plays.py"}
_MODULE = re.compile(r"[a-z_]+(?:/[\w.]+)+\.(?:avsc|js|json|md|py|pyx)")


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


@pytest.mark.parametrize("path", PRESENT, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_that_is_named_exists(path: Path) -> None:
    """A code span with folders is a path from the root of the repository."""
    named = {span for span in spans(path) if _MODULE.fullmatch(span)}

    assert {name for name in named - EXAMPLES if not (ROOT / name).exists()} == set()
