"""The built scripts, their versions and their integrity hashes."""

import base64
import gzip
import hashlib
from functools import cache
from importlib.resources import files
from typing import NamedTuple

#: `script.full.js` also reports errors, web vitals, campaigns and payments in the page's URL.
NAMES = ("script.js", "script.full.js")
_DIGEST_CHARACTERS = 12


class Script(NamedTuple):
    """A script: its URL path from the root, with and without version, and its content."""

    path: str
    versioned_path: str
    content: bytes
    gzipped: bytes
    #: Identifies the content.
    digest: str
    #: The value of the attribute `integrity`.
    integrity: str

    def tag(self, base_url: str, site_id: str) -> str:
        """Return the tag that always loads the current version."""
        return f'<script defer src="{base_url}{self.path}" data-site="{site_id}"></script>'

    def pinned_tag(self, base_url: str, site_id: str) -> str:
        """Return the tag that loads this version only."""
        return (
            f'<script defer src="{base_url}{self.versioned_path}" data-site="{site_id}" '
            f'integrity="{self.integrity}" crossorigin="anonymous"></script>'
        )


@cache
def load(name: str = NAMES[0]) -> Script:
    """Return the script of a name."""
    content = files("producer_api").joinpath("tracker", "dist", name).read_bytes()
    digest = hashlib.sha256(content).hexdigest()[:_DIGEST_CHARACTERS]
    return Script(
        f"/{name}",
        f"/{name.removesuffix('.js')}.{digest}.js",
        content,
        gzip.compress(content, mtime=0),
        digest,
        f"sha384-{base64.b64encode(hashlib.sha384(content).digest()).decode()}",
    )
