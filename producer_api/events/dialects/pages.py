"""Pages that clients identify by the fragment of their URL, as applications with hash routes do."""

from schemas.urls import location_of


def path_with_fragment(url: str) -> str | None:
    """Return the path and the fragment of a URL, without its query; None if one is missing."""
    (address, _, fragment) = url.partition("#")
    path = location_of(address).path
    return f"{path}#{fragment}" if path and fragment else None
